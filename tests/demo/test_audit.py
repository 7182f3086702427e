"""The demo's own books: they notice what is missing, what came twice and what should not exist."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from trio_bridge.demo import audit
from trio_bridge.demo.audit import Audit, Verdict
from trio_bridge.demo.schedule import Row, Schedule

SCHEDULE = Schedule(1_700_000_000_000_000, 1_000)


def instants(*numbers: int) -> list[int]:
    return [SCHEDULE.time_us(number) for number in numbers]


def rows(*numbers: int) -> list[Row]:
    return [SCHEDULE.row(number) for number in numbers]


def test_every_row_once_is_clean() -> None:
    """What is in the table and arrived once is a clean run."""
    books = Audit(SCHEDULE)
    books.committed(range(10), 1.0)
    books.arrived(rows(*range(10)), 1.5)
    verdict = books.verdict(instants(*range(10)))
    assert verdict == Verdict(committed=10, missing=0, phantom=0, duplicates=0)
    assert verdict.clean
    assert books.delivered == 10
    assert books.latency.recent(0.5) == 0.5


def test_missing_row_is_noticed() -> None:
    """A committed row that never arrived spoils the verdict, also when it is the last one."""
    books = Audit(SCHEDULE)
    books.arrived(rows(0, 2, 3), 1.0)
    assert books.verdict(instants(0, 1, 2, 3)) == Verdict(4, missing=1, phantom=0, duplicates=0)
    assert books.verdict(instants(0, 2, 3, 4)) == Verdict(4, missing=1, phantom=0, duplicates=0)
    assert not books.verdict(instants(0, 1, 2, 3)).clean


def test_phantom_row_is_noticed() -> None:
    """A row that arrived although it is not in the table (never committed) spoils the verdict."""
    books = Audit(SCHEDULE)
    books.arrived(rows(0, 1), 1.0)
    verdict = books.verdict(instants(0))
    assert verdict.phantom == 1
    assert not verdict.clean


@pytest.mark.parametrize("change", [{"value": 1.5}, {"sensor": "nobody"}])
def test_altered_row_is_noticed(change: dict[str, Any]) -> None:
    """A row that arrives with another value or sensor than it was written with did not arrive."""
    books = Audit(SCHEDULE)
    books.arrived([replace(SCHEDULE.row(0), **change), SCHEDULE.row(1)], 1.0)
    verdict = books.verdict(instants(0, 1))
    assert verdict == Verdict(committed=2, missing=1, phantom=0, duplicates=0, altered=1)
    assert not verdict.clean
    books.arrived(rows(0), 1.0)
    assert not books.verdict(instants(0, 1)).clean


def test_duplicates_are_counted_and_allowed() -> None:
    """A row that arrives again is a duplicate, however often, and the run stays clean."""
    books = Audit(SCHEDULE)
    for _ in range(300):
        books.arrived(rows(0, 1), 1.0)
    verdict = books.verdict(instants(0, 1))
    assert verdict == Verdict(committed=2, missing=0, phantom=0, duplicates=598)
    assert verdict.clean
    assert books.delivered == 2


def test_rows_of_others_are_set_aside() -> None:
    """Rows of an earlier run, or at instants of nobody, count for neither side."""
    books = Audit(SCHEDULE)
    strangers = [SCHEDULE.start_us - 1_000, SCHEDULE.time_us(3) + 1]
    books.arrived([Row(time_us, 1.0, "inlet") for time_us in strangers], 1.0)
    assert (books.foreign, books.delivered) == (2, 0)
    assert books.verdict(strangers) == Verdict(committed=0, missing=0, phantom=0, duplicates=0)


def test_arrival_before_the_confirmation_is_timed_as_nothing() -> None:
    """A row can be shown before its writer hears of the commit: its latency is the least, not negative."""
    books = Audit(SCHEDULE)
    books.arrived(rows(0), 1.0)
    books.committed([0], 1.1)
    assert books.latency.recent(1.0) == pytest.approx(1e-6)


def test_memory_of_moments_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound rows are still counted; only their latency is not known."""
    monkeypatch.setattr(audit, "MAX_TIMED", 3)
    books = Audit(SCHEDULE)
    books.committed(range(10), 1.0)
    books.arrived(rows(*range(7)), 2.0)
    assert books.latency.recent(0.5) is None
    books.arrived(rows(7, 8, 9), 2.0)
    assert books.latency.recent(0.5) == 1.0
    assert books.delivered == 10


def test_both_sides_at_once() -> None:
    """Writers' threads and the viewer's side may report at the same time without losing a row."""
    books = Audit(SCHEDULE)

    def commit(first: int) -> None:
        for number in range(first, 4_000, 4):
            books.committed([number], 1.0)

    threads = [threading.Thread(target=commit, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for number in range(4_000):
        books.arrived(rows(number), 1.5)
    for thread in threads:
        thread.join()
    assert books.verdict(instants(*range(4_000))).clean
