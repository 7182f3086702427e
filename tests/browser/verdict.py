"""Whether the judge's answer to a history is right: the promises about a panel.

What is promised, and checked by `problems`:

* after a keyframe every connected page that draws shows exactly the last N rows by time, whatever was before. The
  first keyframe of a connection is excepted: its flag may be the one a page has seen last, and the second one follows
  at once;
* meanwhile a page whose connection holds never shows fewer rows than its last keyframe had;
* deltas of rows in order, none longer than a page's buffer, only ever append: what is shown is the end of the table,
  nothing twice;
* the buffer never throws (``push message mismatch``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tests.browser.judge import Answer, Look
from tests.browser.table import Cell, Row

_FLAG: Final = re.compile(r"_\d")


class Expectation(NamedTuple):
    """What a look has to show.

    Attributes:
        rows: of the table, by time, at least as many as can be shown.
        least: how many of them must be shown, counted from the newest.
        most: how many of them may be.
        floors: page → rows that it must have shown all the time since its last look.
    """

    rows: list[Row]
    least: int
    most: int
    floors: dict[int, int]


class History(NamedTuple):
    """One history: what the judge is told, and what is right."""

    seed: int
    commands: list[str]
    expectations: list[Expectation]


def problems(told: History, answer: Answer) -> Iterator[str]:
    """One sentence for each thing that is not as promised."""
    for fault in answer.faults:
        yield f"history {told.seed}: the buffer threw: {fault}"
    for look in answer.looks:
        for problem in _problems_of(told.expectations[look.label], look):
            yield f"history {told.seed}, look {look.label}, page {look.page}: {problem}"


def _problems_of(expected: Expectation, look: Look) -> Iterator[str]:
    times = look.columns.get("time", [])
    if any(len(values) != look.length for values in look.columns.values()):
        yield f"columns are not {look.length} long"
        return
    if not expected.least <= len(times) <= expected.most:
        yield f"{len(times)} rows, expected {expected.least} to {expected.most}"
    shown = expected.rows[len(expected.rows) - len(times) :] if times else []
    if times != [row.time_ms for row in shown]:
        yield f"times {_short(times)}, expected {_short([row.time_ms for row in shown])}"
        return
    for name in {name for row in shown for name in row.cells} - look.columns.keys():
        if any(row.cells.get(name) is not None for row in shown):
            yield f"no column {name}"
    for name, values in look.columns.items():
        if name == "time" or _FLAG.fullmatch(name):
            continue
        wanted: list[Cell] = [row.cells.get(name) for row in shown]
        if values != wanted:
            yield f"{name} is {_short(values)}, expected {_short(wanted)}"
    floor = expected.floors.get(look.page)
    if floor is not None and look.shortest is not None and look.shortest < floor:
        yield f"showed only {look.shortest} rows for a moment, had {floor}"


def _short(values: list[Any]) -> str:
    return f"{values[:3]}…{values[-3:]} ({len(values)})"
