"""Random histories: what writers, readers and a stranger do, one after the other; legal whatever comes of it."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from tests.simulation.postgres.rows import Point

WRITERS = 3
READERS = 2

_SENSORS = (None, "a", 'q"uo\\te', "é\n\t\x01☃", "")
_READS = {
    "page": 60,
    "take_gate": 8,
    "free_gate": 5,
    "holder": 3,
    "listen": 8,
    "unlisten": 2,
    "leader": 2,
    "take_over": 4,
    "write": 10,
    "probe": 2,
    "next_xid": 1,
    "history": 3,
    "look": 1,
    "reopen": 2,
}
_OPEN = {"insert": 12, "notify": 2, "gate": 2, "draw": 1, "savepoint": 5, "commit": 4, "rollback": 1}
_INSIDE = {"rollback_to": 3, "release": 3}
_CLOSED = {"insert": 3, "notify": 1, "gate": 2, "begin": 8}


class Step(NamedTuple):
    """Who does what."""

    actor: str
    number: int
    act: str
    argument: Any = None


class _Writer:
    """What a writer may do next."""

    def __init__(self, number: int, choice: random.Random) -> None:
        self._number = number
        self._choice = choice
        self._ids = iter(choice.sample(range((number + 1) * 1_000_000, (number + 2) * 1_000_000), 1_000))
        # No two rows have the same time: of such Postgres may give any first.
        self._times = iter(choice.sample(range(60_000), 1_000))
        self._open = False
        self._savepoints: list[str] = []
        self._touched = False

    @property
    def touched(self) -> bool:
        """Whether it may hold a lock on the table."""
        return self._touched

    def step(self) -> Step:
        acts = (_OPEN | _INSIDE if self._savepoints else _OPEN) if self._open else _CLOSED
        act = _weighted(self._choice, acts)
        argument = getattr(self, f"_{act}", lambda: None)()
        return Step("writer", self._number, act, argument)

    def _begin(self) -> None:
        self._open = True

    def _insert(self) -> tuple[list[Point], list[int] | None]:
        self._touched = self._open
        count = self._choice.choice([0, 1, 1, 2, 3, 9])
        points = [self._point() for _ in range(count)]
        ids = [next(self._ids) for _ in points] if self._choice.random() < 0.3 else None
        return points, ids

    def _point(self) -> Point:
        second, milli = divmod(next(self._times), 1_000)
        # Postgres leaves out the zeros at the end.
        fraction = f".{milli:03}".rstrip("0").rstrip(".")
        timestamp = f"2026-01-02T03:{self._number:02}:{second:02}{fraction}+00:00"
        value = self._choice.choice([0.0, 1.0, -1.5, 0.0001, 123456.789, 99999999999999.0, 0.1])
        return Point(timestamp, value, self._choice.choice(_SENSORS))

    def _notify(self) -> bytes:
        return self._choice.choice([b"", b"*", b"forged"])

    def _gate(self) -> tuple[str, bool]:
        return self._choice.choice(["try", "free"]), self._choice.random() < 0.5

    def _savepoint(self) -> str:
        name = self._choice.choice(["s", "t"])
        self._savepoints.append(name)
        return name

    def _rollback_to(self) -> str:
        return self._back_to(keep=1)

    def _release(self) -> str:
        return self._back_to(keep=0)

    def _back_to(self, keep: int) -> str:
        name = self._choice.choice(self._savepoints)
        last = len(self._savepoints) - 1 - self._savepoints[::-1].index(name)
        del self._savepoints[last + keep :]
        return name

    def _commit(self) -> None:
        self._open = self._touched = False
        self._savepoints.clear()

    _rollback = _commit


def history(seed: int, length: int, *, asynchronous: float = 0.0) -> list[Step]:
    """The history of a seed; `asynchronous` is how often ``synchronous_commit`` changes, per step."""
    choice = random.Random(seed)
    writers = [_Writer(number, choice) for number in range(WRITERS)]
    busy = choice.choice([0.4, 0.6, 0.8])
    steps: list[Step] = []
    while len(steps) < length:
        if choice.random() < asynchronous:
            steps.append(Step("stranger", 0, "synchronous", choice.random() < 0.3))
        elif choice.random() < busy:
            steps.append(choice.choice(writers).step())
        elif choice.random() < 0.02 and not any(writer.touched for writer in writers):
            steps.append(Step("stranger", 0, choice.choice(["trigger", "lock"]), choice.randrange(READERS)))
        else:
            steps.append(Step("reader", choice.randrange(READERS), _weighted(choice, _READS)))
    return steps


def _weighted(choice: random.Random, acts: dict[str, int]) -> str:
    return choice.choices(list(acts), list(acts.values()))[0]
