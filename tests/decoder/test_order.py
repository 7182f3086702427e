"""Lines leave in the order of their times."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from trio_bridge.decoder.order import in_time_order

TIMES = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(10**18, 10**18 + 5), st.integers(-5, 5))


@given(st.lists(TIMES, max_size=30))
@example([-100_000, 10**18])
@example([-(10**17), -(10**17) - 1])
def test_by_time_whatever_its_length_and_sign(times: list[int]) -> None:
    """Lines are sorted by the number at their end, stably, and each keeps its key."""
    lines = [f'm t="a 1",v={number} {time}'.encode() for number, time in enumerate(times)]
    ordered, keys = in_time_order(lines, [str(number) for number in range(len(times))])
    expected = sorted(range(len(times)), key=lambda number: times[number])
    assert ordered == [lines[number] for number in expected]
    assert list(keys) == [str(number) for number in expected]


def test_lines_in_their_places_are_not_copied() -> None:
    """The usual case costs no more than a look."""
    lines, keys = [b"m v=1 1", b"m v=2 2"], ["a", "b"]
    assert in_time_order(lines, keys) == (lines, keys)
    assert in_time_order(lines, keys)[0] is lines
