"""The bound on what is unacknowledged follows the line."""

from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.sender.congestion import LEAST_BYTES, CongestionWindow
from trio_bridge.sender.pace import MAX_MESSAGE_BYTES


def test_a_fast_line_gets_the_whole_window():
    """Two prompt answers are enough for the default cap."""
    window = CongestionWindow(262_144)
    assert window.bytes == MAX_MESSAGE_BYTES
    for _ in range(3):
        window.answered_after(0.001)
    assert window.bytes == 262_144


def test_a_slow_line_gets_less_and_less():
    """Late answers halve the window, down to its least size."""
    window = CongestionWindow(262_144)
    window.answered_after(3.0)
    assert window.bytes == MAX_MESSAGE_BYTES // 2
    for _ in range(20):
        window.answered_after(3.0)
    assert window.bytes == LEAST_BYTES


def test_in_between_nothing_changes():
    """An answer that is neither prompt nor late is what the window is meant for."""
    window = CongestionWindow(262_144)
    window.answered_after(1.5)
    assert window.bytes == MAX_MESSAGE_BYTES


@given(st.integers(1, 1 << 20), st.lists(st.floats(0, 20)))
def test_the_cap_always_holds(cap, answers):
    """Whatever the answers, at least a byte and at most the cap."""
    window = CongestionWindow(cap)
    for took_s in answers:
        window.answered_after(took_s)
        assert 1 <= window.bytes <= cap
