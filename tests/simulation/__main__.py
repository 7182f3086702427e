"""``python -m tests.simulation --seeds 1..10000``: many schedules, a summary, exit 1 if one broke a promise.

``--seeds 17 --trace`` shows one of them line by line.
"""

# ruff: noqa: T201  (it speaks to a terminal)

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.simulation.plan import plan_of
from tests.simulation.pool import outcomes
from tests.simulation.schedule import run_schedule
from tests.simulation.summary import Summary
from tests.simulation.trace import Trace

EVERY_S = 10.0
"""Between two lines of progress."""


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=_seeds, default=_seeds("1..100"), metavar="A..B")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--trace", action="store_true", help="show what happens, line by line")
    options = parser.parse_args()
    if options.trace:
        return max(_trace(seed) for seed in options.seeds)
    summary = Summary()
    began = said = time.monotonic()
    for outcome in outcomes(options.seeds, options.jobs):
        summary.add(outcome)
        for violation in outcome.violations:
            print(f"seed {outcome.seed}: {violation}")
        if outcome.violations:
            print(f"    again: python -m tests.simulation --seeds {outcome.seed} --trace", flush=True)
        if time.monotonic() > said + EVERY_S:
            said = time.monotonic()
            print(f"{summary.schedules} of {len(options.seeds)}", file=sys.stderr, flush=True)
    print("\n".join(summary.lines(time.monotonic() - began)))
    return int(bool(summary.failed))


def _trace(seed: int) -> int:
    print(plan_of(seed))
    trace = Trace()
    try:
        outcome = run_schedule(seed, trace)
    finally:
        print(trace.render(), end="")
    print(outcome)
    for violation in outcome.violations:
        print(f"seed {seed}: {violation}")
    return int(bool(outcome.violations))


def _seeds(text: str) -> range:
    first, _, last = text.partition("..")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    sys.exit(main())
