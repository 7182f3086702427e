"""Keyframes: which flag, when, and what the first line of every message carries."""

from __future__ import annotations

import math

from trio_bridge.records import Batch
from trio_bridge.sender.history import Window
from trio_bridge.sender.keyframes import FLAGS, IDLE_INTERVAL_S, Keyframes


def batch(*lines: bytes, defaults: bytes = b"") -> Batch:
    keys = [text.decode() for text in lines]
    return Batch(1, lines, [], keys=keys, defaults=defaults)


def keyframes(first_flag: int = 0) -> Keyframes:
    return Keyframes("m", Window(3), interval_s=2.0, first_flag=first_flag)


def opened(frames: Keyframes, now: float = 0.0) -> Keyframes:
    while frames.due_at() == -math.inf:
        frames.take(now)
    return frames


def test_nothing_to_show_nothing_due() -> None:
    """Before the first row there is no keyframe."""
    assert keyframes().due_at() == math.inf


def test_a_connection_opens_with_two_keyframes_of_different_flags() -> None:
    """Whatever flag a browser has seen last, one of the two differs from it."""
    frames = keyframes(first_flag=9)
    frames.add(batch(b"m v=1 1", b"m v=2 2"))
    assert frames.due_at() == -math.inf
    assert frames.take(0.0) == b'm _9="",v=1 1\nm v=2 2'
    assert frames.due_at() == -math.inf
    assert frames.take(0.0) == b'm _0="",v=1 1\nm v=2 2'
    assert frames.due_at() > 0


def test_messages_in_between_repeat_the_flag_of_the_last_keyframe() -> None:
    """A delta with another flag, or none, would wipe the history itself."""
    frames = keyframes(first_flag=4)
    frames.add(batch(b"m v=1 1"))
    opened(frames)
    assert frames.decorated(b"m v=2 2\nm v=3 3") == b'm _5="",v=2 2\nm v=3 3'
    frames.take(2.0)
    assert frames.decorated(b"m v=4 4") == b'm _6="",v=4 4'


def test_no_flag_before_the_first_keyframe() -> None:
    """What no keyframe has announced carries no flag."""
    assert keyframes().decorated(b"m v=1 1") == b"m v=1 1"


def test_flags_rotate_through_all_ten() -> None:
    """A browser that missed nine keyframes sees another flag than the one it knows."""
    frames = keyframes(first_flag=7)
    frames.add(batch(b"m v=1 1"))
    flags = [frames.take(0.0)[2:4] for _ in range(FLAGS + 1)]
    assert len(set(flags[:FLAGS])) == FLAGS
    assert flags[0] == flags[FLAGS] == b"_7"


def test_every_two_seconds_while_rows_come_else_every_five() -> None:
    """The pace of keyframes follows the rows."""
    frames = keyframes()
    frames.add(batch(b"m v=1 1"))
    opened(frames, now=100.0)
    assert frames.due_at() == 100.0 + IDLE_INTERVAL_S
    frames.add(batch(b"m v=2 2"))
    assert frames.due_at() == 102.0
    frames.take(102.0)
    assert frames.due_at() == 102.0 + IDLE_INTERVAL_S


def test_a_keyframe_that_left_rows_out_is_followed_when_the_line_takes_more() -> None:
    """A connection begins with little room: what it shows first is cut, and made good as soon as it has opened."""
    frames = keyframes()
    frames.add(batch(b"m v=1 1", b"m v=2 2"))
    while frames.due_at(9) == -math.inf:
        assert frames.take(100.0, 9).endswith(b'="",v=2 2')
    assert frames.due_at(17) == 100.0 + IDLE_INTERVAL_S
    assert frames.due_at(18) == -math.inf
    assert frames.take(100.0, 18) == b'm _2="",v=1 1\nm v=2 2'
    assert frames.due_at(1 << 20) == 100.0 + IDLE_INTERVAL_S


def test_a_new_field_sends_a_keyframe_before_its_first_row() -> None:
    """The history goes first, with the new field in its first line, so that the new row is appended to it."""
    frames = keyframes(first_flag=0)
    first = batch(b"m a=1 1", defaults=b'a="NaN",')
    frames.prepare(first)
    frames.add(first)
    opened(frames)
    second = batch(b"m b=2 2", defaults=b'a="NaN",b="NaN",')
    frames.prepare(second)
    assert frames.due_at() == -math.inf
    assert frames.take(0.5) == b'm _2="",a="NaN",b="NaN",a=1 1'
    frames.add(second)
    assert frames.due_at() == 2.5
    assert frames.decorated(b"m b=2 2") == b'm _2="",a="NaN",b="NaN",b=2 2'


def test_rows_that_wait_go_with_the_fields_that_are_known() -> None:
    """Until the keyframe with a new field has gone, a message with it would wipe the history."""
    frames = keyframes(first_flag=0)
    first = batch(b"m a=1 1", defaults=b'a="NaN",')
    frames.prepare(first)
    frames.add(first)
    opened(frames)
    frames.prepare(batch(b"m b=2 2", defaults=b'a="NaN",b="NaN",'))
    assert frames.decorated(b"m a=3 3") == b'm _1="",a="NaN",a=3 3'
    frames.take(1.0)
    assert frames.decorated(b"m b=2 2") == b'm _2="",a="NaN",b="NaN",b=2 2'


def test_without_history_messages_are_filled_up_and_nothing_else() -> None:
    """History off: no flag, no keyframe; sparse lines still carry every field in their first line."""
    frames = Keyframes("m", None, interval_s=2.0, first_flag=0)
    sparse = batch(b"m a=1 1", defaults=b'a="NaN",b="NaN",')
    frames.prepare(sparse)
    frames.add(sparse)
    assert frames.due_at() == math.inf
    assert frames.decorated(b"m a=1 1") == b'm a="NaN",b="NaN",a=1 1'
