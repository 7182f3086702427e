"""After any history a panel shows the last N rows of its table, and a fault in the keyframes is seen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.browser.history import MakeKeyframes, history
from tests.browser.judge import judge, unable
from tests.browser.table import MEASUREMENT
from tests.browser.verdict import problems
from trio_bridge.records import Batch
from trio_bridge.sender.history import MAX_WINDOW_BYTES, Window
from trio_bridge.sender.keyframes import Keyframes

HISTORIES = 200
# Half are enough to show a fault.
FAULTY_HISTORIES = 100

pytestmark = pytest.mark.skipif(unable() is not None, reason=unable() or "")


def as_in_the_sender(window: Window, interval_s: float, first_flag: int) -> Keyframes:
    return Keyframes(MEASUREMENT, window, interval_s=interval_s, first_flag=first_flag)


def problems_of(seeds: range, make_keyframes: MakeKeyframes) -> list[str]:
    told = [history(seed, make_keyframes) for seed in seeds]
    answers = judge(each.commands for each in told)
    assert all(len(each.expectations) > 1 for each in told)
    assert all(answer.looks for answer in answers)
    return [problem for each, answer in zip(told, answers, strict=True) for problem in problems(each, answer)]


def test_a_panel_shows_the_last_rows_of_its_table() -> None:
    """Whatever rows, pages, bridge and Grafana did: the next keyframe makes every panel right, and none goes blank."""
    assert problems_of(range(HISTORIES), as_in_the_sender) == []


class SameFlag(Keyframes):
    """The flag does not rotate."""

    def take(self, now: float, room: int = MAX_WINDOW_BYTES) -> bytes:
        self._next_flag = 0
        return super().take(now, room)


class NoFlagBetween(Keyframes):
    """Only keyframes carry the flag."""

    def take(self, now: float, room: int = MAX_WINDOW_BYTES) -> bytes:
        keyframe = super().take(now, room)
        self._flag = b""
        return keyframe


class NoDefaults(Keyframes):
    """The first line does not carry the fields of the other series."""

    def prepare(self, batch: Batch) -> None:
        """Nothing is new."""


class NewFieldsWithoutKeyframe(Keyframes):
    """A new field goes out with the row that has it."""

    def prepare(self, batch: Batch) -> None:
        self._defaults = batch.defaults


class NothingNew(Keyframes):
    """The window stays as it was read at the start."""

    def add(self, batch: Batch) -> None:
        if not self._window:
            super().add(batch)


@pytest.mark.parametrize(
    ("faulty", "symptom"),
    [
        (SameFlag, "rows, expected"),
        (NoFlagBetween, "for a moment"),
        (NoDefaults, "for a moment"),
        (NewFieldsWithoutKeyframe, "for a moment"),
        (NothingNew, "times "),
    ],
)
def test_a_fault_in_the_keyframes_is_seen(faulty: type[Keyframes], symptom: str) -> None:
    """Keyframes that are wrong in one point are found out, so that the test above can fail."""

    def made_wrong(window: Window, interval_s: float, first_flag: int) -> Keyframes:
        return faulty(MEASUREMENT, window, interval_s=interval_s, first_flag=first_flag)

    found = problems_of(range(FAULTY_HISTORIES), made_wrong)
    assert any(symptom in problem for problem in found), found[:5]


def test_the_long_edition_counts_and_exits_like_a_test() -> None:
    """``python -m tests.browser`` says how many histories it asked for and fails when the judge cannot be asked."""
    command = [sys.executable, "-m", "tests.browser", "--histories", "3", "--first", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3 histories, ")

    environment = os.environ | {"PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert done.returncode == 1
    assert "node is not installed" in done.stderr
