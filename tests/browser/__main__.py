"""The long edition of `tests.browser.test_histories`: prints every problem and what it counted; exit 1 if any."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Final

from tests.browser.history import history
from tests.browser.judge import judge, unable
from tests.browser.table import MEASUREMENT
from tests.browser.verdict import problems
from trio_bridge.sender.history import Window
from trio_bridge.sender.keyframes import Keyframes

# So many are told and judged at a time: their commands are about 30 kB each.
_AT_A_TIME: Final = 500


def _keyframes(window: Window, interval_s: float, first_flag: int) -> Keyframes:
    return Keyframes(MEASUREMENT, window, interval_s=interval_s, first_flag=first_flag)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.browser", description=__doc__)
    parser.add_argument("--histories", type=int, default=2000, help="how many (2000)")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first (0)")
    arguments = parser.parse_args()
    if (reason := unable()) is not None:
        sys.stderr.write(f"{reason}\n")
        return 1
    started = time.perf_counter()
    looks = wrong = 0
    end = arguments.first + arguments.histories
    for first in range(arguments.first, end, _AT_A_TIME):
        told = [history(seed, _keyframes) for seed in range(first, min(first + _AT_A_TIME, end))]
        for each, answer in zip(told, judge(each.commands for each in told), strict=True):
            looks += len(answer.looks)
            for problem in problems(each, answer):
                wrong += 1
                sys.stdout.write(f"{problem}\n")
    seconds = time.perf_counter() - started
    sys.stdout.write(f"{arguments.histories} histories, {looks} looks, {wrong} problems, {seconds:.0f} s\n")
    return 1 if wrong else 0


sys.exit(main())
