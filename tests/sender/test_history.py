"""The window: the last rows by time, whatever order they come in, and never more than fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.sender.history import MAX_WINDOW_BYTES, Window


def line(time_ns: int, value: object = 0) -> bytes:
    return f"m v={value} {time_ns}".encode()


@given(
    st.integers(1, 12),
    st.lists(st.lists(st.tuples(st.integers(-5, 60), st.integers(0, 80)), max_size=40), max_size=8),
)
def test_the_last_rows_by_time_whatever_the_order(limit: int, batches: list[list[tuple[int, int]]]) -> None:
    """After any batches the window is the last N of all rows by time, each key once, as it came last."""
    window = Window(limit)
    taken = 0
    table: dict[str, tuple[int, str, bytes]] = {}
    for batch in batches:
        # As the decoder hands them on: in the order of their times, each key once. (Which of two rows of one time is
        # the last one when there is room for one is nobody's promise.)
        rows = sorted(
            ((line(time, key), f"k{key}", time) for key, time in {key: time for time, key in batch}.items()),
            key=lambda row: (row[2], row[1]),
        )
        window.add([text for text, _, _ in rows], [key for _, key, _ in rows])
        taken += len(rows)
        # Rows that were pushed out are forgotten; the model of a table forgets nothing, so keys keep their time here.
        for text, key, time in rows:
            table.setdefault(key, (time, key, text))
    if len(table) == taken:
        expected = [text for _, _, text in sorted(table.values())[-limit:]]
        assert window.lines(0) == expected
    assert len(window.lines(0)) == min(limit, len(table))
    assert len(set(window.lines(0))) == len(window.lines(0))


def test_a_row_that_comes_again_is_there_once() -> None:
    """A duplicate after a failure takes its own place."""
    window = Window(10)
    window.add([line(1), line(2)], ["a", "b"])
    window.add([line(1), line(3)], ["a", "c"])
    assert window.lines(0) == [line(1), line(2), line(3)]


def test_a_row_older_than_a_full_window_does_not_enter() -> None:
    """Late rows find their place, those before the window find none."""
    window = Window(3)
    window.add([line(10), line(20), line(30)], ["a", "b", "c"])
    window.add([line(5), line(25)], ["d", "e"])
    assert window.lines(0) == [line(20), line(25), line(30)]


@given(st.integers(1, 6), st.lists(st.lists(st.integers(0, 30), max_size=14), max_size=8))
def test_of_a_backlog_only_the_end_is_kept_and_nothing_else_changes(
    limit: int, batches: list[list[int]]
) -> None:
    """Batches that fill the window alone leave what they would have left row by row."""
    whole, single = Window(limit), Window(limit)
    for number, times in enumerate(batches):
        rows = [
            (line(time, (number, place)), f"{number} {place:02}") for place, time in enumerate(sorted(times))
        ]
        whole.add([text for text, _ in rows], [key for _, key in rows])
        for text, key in rows:
            single.add([text], [key])
    assert whole.lines(0) == single.lines(0)


def test_rows_without_a_key_are_never_the_same() -> None:
    """Payloads name no row: equal ones are two rows, in the order they came."""
    window = Window(4)
    window.add([line(1, "b"), line(1, "a"), line(1, "b")], ["", "", ""])
    assert window.lines(0) == [line(1, "b"), line(1, "a"), line(1, "b")]


@pytest.mark.parametrize("lacking", [0, 49])
def test_never_more_than_a_message_and_its_publication_may_hold(lacking: int) -> None:
    """What does not fit is left out, the oldest first."""
    window = Window(8_000)
    lines = [line(1_700_000_000_000_000_000 + number, 12.345) for number in range(8_000)]
    window.add(lines, [str(number) for number in range(8_000)])
    fitting = window.lines(lacking)
    assert fitting == lines[-len(fitting) :]
    assert sum(map(len, fitting)) + len(fitting) <= MAX_WINDOW_BYTES
    # A publication: 13 digits of milliseconds, an empty label and commas; values; nulls.
    publication = sum(17 + len("12.345,") + 5 * lacking for _ in fitting)
    assert 0.75 * MAX_WINDOW_BYTES < max(publication, sum(map(len, fitting))) <= MAX_WINDOW_BYTES


def test_a_narrow_line_gets_the_newest_rows() -> None:
    """As many as there is room for, but always one."""
    window = Window(3)
    window.add([line(1), line(2), line(3)], ["a", "b", "c"])
    assert window.lines(0, 2 * len(line(1)) + 2) == [line(2), line(3)]
    assert window.lines(0, 1) == [line(3)]
    assert len(window) == 3


def test_a_bulk_load_keeps_no_more_than_a_few_windows() -> None:
    """Rows that gather are put in order before they are many."""
    window = Window(10)
    for start in range(0, 10_000, 7):
        window.add([line(start + n) for n in range(7)], [str(start + n) for n in range(7)])
        assert window.gathered <= 5 * 10
    assert window.lines(0) == [line(time) for time in range(9_993, 10_003)]


def test_an_empty_window_is_false() -> None:
    """There is nothing to show before the first row."""
    window = Window(1)
    window.add([], [])
    assert not window
    window.add([line(1)], ["a"])
    assert window
