"""The bound on what is unacknowledged follows the line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.sender.congestion import LEAST_BYTES, SLOW_S, CongestionWindow

CAP = 262_144


def on_a_line(bytes_per_s, round_trip_s, answers, window=None):
    """A window after so many answers over such a line, each message as large as there is room for."""
    window = window or CongestionWindow(CAP)
    for _ in range(answers):
        sent = window.room(0)
        window.answered(sent, round_trip_s + sent / bytes_per_s)
    return window


@pytest.mark.parametrize(("bytes_per_s", "round_trip_s"), [(10_000_000, 0.0), (1_000_000, 0.05)])
def test_a_fast_line_gets_the_whole_window(bytes_per_s, round_trip_s):
    """A connection begins with little, and three answers are enough for the default cap."""
    assert CongestionWindow(CAP).bytes == LEAST_BYTES
    assert on_a_line(bytes_per_s, round_trip_s, 3).bytes == CAP


@pytest.mark.fault(66)
@pytest.mark.parametrize("bytes_per_s", [3_000, 10_000, 50_000, 100_000])
def test_the_window_becomes_what_the_line_carries_in_two_seconds(bytes_per_s):
    """Whether it comes from below, or from above because the line has become slow."""
    for window in (None, on_a_line(10_000_000, 0.0, 3)):
        settled = on_a_line(bytes_per_s, 0.0, 8, window)
        assert settled.bytes == pytest.approx(SLOW_S * bytes_per_s, rel=0.01)


def test_the_slowest_line_gets_the_least():
    """It never stands still: the least window is left, and in it a message."""
    window = on_a_line(500, 0.0, 10, on_a_line(10_000_000, 0.0, 3))
    assert window.bytes == window.room(0) == LEAST_BYTES


def test_small_messages_prove_nothing():
    """Prompt answers to few bytes, over a line that is long or slow, neither open the window nor close it."""
    window = CongestionWindow(CAP)
    for took_s in (0.2, 0.06, 1.9):
        window.answered(60, took_s)
        assert window.bytes == LEAST_BYTES
    window = on_a_line(10_000_000, 0.0, 3)
    window.answered(60, 0.5)
    assert window.bytes == CAP


@given(st.integers(1, 1 << 20), st.lists(st.tuples(st.integers(0, 1 << 20), st.floats(0, 20))))
def test_the_cap_always_holds_and_something_always_fits(cap, answers):
    """Whatever the answers: at least a byte, at most the cap, and half a window of room while there is any."""
    window = CongestionWindow(cap)
    for sent, took_s in answers:
        window.answered(sent, took_s)
        assert 1 <= window.bytes <= cap
        for unacknowledged in (0, window.bytes - 1):
            assert max(1, window.bytes // 2) <= window.room(unacknowledged) <= window.bytes
        assert window.room(window.bytes) == 0


def test_an_impatient_ping_finds_no_more_before_it_than_half_its_time_carries() -> None:
    """With a deadline of a second, half a second's worth is under way at most, whatever the cap."""
    window = CongestionWindow(CAP, patience_s=1.0)
    for _ in range(20):
        window.answered(window.bytes, window.bytes / 20_000)
    assert window.bytes == pytest.approx(10_000, rel=0.01)
