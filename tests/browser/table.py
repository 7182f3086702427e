"""The model of a table that the judge's verdict is compared with: rows, and the last of them by time.

A row is a key, a time and cells. `Table` is a dictionary and a sort: it shares no code with the window it is to check.
The four kinds of table are what a route may look like: one field, several of all types with nulls, a text that sorts
before the numbers, and a series route, where a row has a field of its own series only. Lines are written by hand here.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final, NamedTuple

Cell = float | str | None

MEASUREMENT: Final = "m"
_BASE_MS: Final = 1_700_000_000_000
_TICK_MS: Final = 10
_LETTERS: Final = 'ab ,="\\\n\té'


class Row(NamedTuple):
    """One row; equal keys are the same row."""

    key: str
    time_ns: int
    cells: dict[str, Cell]

    @property
    def time_ms(self) -> int:
        return self.time_ns // 1_000_000

    def line(self) -> bytes:
        """In line protocol, with all its fields."""
        fields = ",".join(f"{name}={_text(cell)}" for name, cell in self.cells.items())
        return f"{MEASUREMENT} {fields} {self.time_ns}".encode()


def _text(cell: Cell) -> str:
    if cell is None:
        return '"NaN"'
    if isinstance(cell, str):
        return '"' + cell.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(cell)


class Table:
    """A growing table with rows at distinct milliseconds.

    Args:
        kind: ``one``, ``five``, ``text`` or ``series``.
        dice: decides values and times.
    """

    def __init__(self, kind: str, dice: random.Random) -> None:
        self.kind = kind
        self._dice = dice
        self._rows: dict[str, Row] = {}
        self._taken_ms: set[int] = set()
        self._ticks = 0
        self._made = 0
        self._series = 1

    def __len__(self) -> int:
        return len(self._rows)

    def new(self, count: int, *, late: bool = False) -> list[Row]:
        """Rows that are not in the table yet, with growing times; late ones between or before those that are."""
        return [self._row(self._earlier_ms() if late else self._next_ms()) for _ in range(count)]

    def again(self, count: int) -> list[Row]:
        """Rows of the table once more, some with other values."""
        rows = self._dice.sample(list(self._rows.values()), min(count, len(self._rows)))
        changed = self._dice.random() < 0.5
        return [Row(row.key, row.time_ns, self._filled(row.cells)) if changed else row for row in rows]

    def add_series(self) -> None:
        """From now on there is one series more."""
        self._series += 1

    def put(self, rows: Iterable[Row]) -> None:
        """The table holds `rows`."""
        self._rows.update((row.key, row) for row in rows)

    def by_time(self) -> list[Row]:
        """All rows, the oldest first."""
        return sorted(self._rows.values(), key=lambda row: row.time_ns)

    def _row(self, time_ms: int) -> Row:
        self._made += 1
        self._taken_ms.add(time_ms)
        by_kind: dict[str, dict[str, Cell]] = {
            "one": {"value": 0.0},
            "five": {"B": 0.0, "a": 0.0, "is_on": 0.0, "state": "", "z": 0.0},
            "text": {"a": "", "value": 0.0},
            "series": {f"value_{self._dice.randrange(self._series)}": 0.0},
        }
        below_ms = self._dice.randrange(1_000_000)
        return Row(str(self._made), time_ms * 1_000_000 + below_ms, self._filled(by_kind[self.kind]))

    def _filled(self, cells: dict[str, Cell]) -> dict[str, Cell]:
        return {
            name: self._word() if isinstance(cell, str) else self._number() for name, cell in cells.items()
        }

    def _word(self) -> str:
        return "".join(self._dice.choices(_LETTERS, k=self._dice.randrange(4)))

    def _number(self) -> float | None:
        # A series has no null of its own: a row without a value would not tell from another series' row.
        if self.kind in {"five", "text"} and self._dice.random() < 0.2:
            return None
        return round(self._dice.uniform(-1e3, 1e3), 2)

    def _next_ms(self) -> int:
        self._ticks += 1
        return _BASE_MS + self._ticks * _TICK_MS

    def _earlier_ms(self) -> int:
        while True:
            time_ms = _BASE_MS + self._dice.randrange(-1_000, self._ticks + 1) * _TICK_MS
            time_ms += self._dice.randrange(1, _TICK_MS)
            if time_ms not in self._taken_ms:
                return time_ms
