"""The outbox: nothing lost, nothing early, nothing too large."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.records import Batch
from trio_bridge.sender.pace import MAX_MESSAGE_BYTES, Message, Outbox


def batch(mark, *lines):
    return Batch(mark=mark, lines=lines, rejections=())


def take_all(outbox, now):
    """Every message, due or not."""
    messages = []
    while outbox.due_at(now) < math.inf:
        messages.append(outbox.take(now))
    return messages


def test_an_empty_outbox_is_never_due():
    """Nothing waits: no time is right."""
    assert Outbox(0.1).due_at(5.0) == math.inf


def test_the_first_message_goes_at_once():
    """After a start there is nothing to wait for."""
    outbox = Outbox(0.1)
    outbox.add(batch(1, b"m v=1 1", b"m v=2 2"))
    assert outbox.due_at(5.0) == 5.0
    assert outbox.take(5.0) == Message(b"m v=1 1\nm v=2 2", 2, 1)
    assert outbox.waiting_bytes == 0


def test_the_second_message_waits_for_the_interval():
    """What comes within the interval goes together when the interval is over."""
    outbox = Outbox(0.1)
    outbox.add(batch(1, b"a"))
    outbox.take(5.0)
    outbox.add(batch(2, b"b"))
    outbox.add(batch(3, b"c"))
    assert outbox.due_at(5.01) == pytest.approx(5.1)
    assert outbox.take(5.1) == Message(b"b\nc", 2, 3)


def test_the_first_message_after_a_pause_goes_at_once():
    """A pause longer than the interval has paid for the next message."""
    outbox = Outbox(0.1)
    outbox.add(batch(1, b"a"))
    outbox.take(5.0)
    outbox.add(batch(2, b"b"))
    assert outbox.due_at(7.0) == 7.0


def test_a_full_message_does_not_wait():
    """Bulk is not paced: a message that the next line would overflow goes at once, the rest waits."""
    outbox = Outbox(0.1, max_message_bytes=8)
    outbox.add(batch(1, b"aa"))
    outbox.take(5.0)
    outbox.add(batch(2, b"bbb", b"cccc", b"d"))
    assert outbox.due_at(5.0) == 5.0
    assert outbox.take(5.0) == Message(b"bbb\ncccc", 2, None)
    assert outbox.due_at(5.0) == pytest.approx(5.1)
    assert outbox.take(5.1) == Message(b"d", 1, 2)


def test_a_narrow_line_gets_less_at_a_time():
    """What has no room in the message stays, and goes next without a pace, as with any full message."""
    outbox = Outbox(0.1)
    outbox.add(batch(1, b"aa", b"bb", b"cc"))
    assert outbox.take(5.0, 5) == Message(b"aa\nbb", 2, None)
    assert outbox.due_at(5.0, 1) == 5.0
    assert outbox.due_at(5.0, 2) == pytest.approx(5.1)
    assert outbox.take(5.1, 2) == Message(b"cc", 1, 1)
    assert not outbox


def test_a_line_goes_however_little_room_there_is():
    """Nothing waits for ever because it is too large for the line."""
    outbox = Outbox(0.1)
    outbox.add(batch(1, b"aaaa", b"b"))
    assert outbox.due_at(5.0, 1) == 5.0
    assert outbox.take(5.0, 1) == Message(b"aaaa", 1, None)


def test_pace_off_means_at_once():
    """With interval 0 whatever waits may go."""
    outbox = Outbox(0.0)
    for n in range(3):
        outbox.add(batch(n, b"a"))
        assert outbox.due_at(5.0) == 5.0
        outbox.take(5.0)


def test_a_batch_without_lines_completes_at_once():
    """Rows that were all rejected hold up no acknowledgement: their mark needs no message and no pace."""
    outbox = Outbox(0.1)
    outbox.add(batch(1, b"a"))
    outbox.take(5.0)
    outbox.add(batch(2))
    assert outbox.due_at(5.0) == 5.0
    assert outbox.take(5.0) == Message(b"", 0, 2)
    assert outbox.next_at == pytest.approx(5.1)
    assert outbox.due_at(5.0) == math.inf


def test_a_mark_that_completes_at_once_takes_no_line_with_it():
    """Lines behind a batch without lines keep their pace."""
    outbox = Outbox(0.1)
    outbox.add(batch(1, b"a"))
    outbox.take(5.0)
    outbox.add(batch(2))
    outbox.add(batch(3, b"b"))
    assert outbox.take(5.0) == Message(b"", 0, 2)
    assert outbox.due_at(5.0) == pytest.approx(5.1)
    assert outbox.take(5.1) == Message(b"b", 1, 3)


def test_a_batch_without_lines_completes_with_the_lines_before_it():
    """A mark never overtakes the lines of an earlier one."""
    outbox = Outbox(0.1)
    outbox.add(batch(1, b"a"))
    outbox.add(batch(2))
    assert take_all(outbox, 5.0) == [Message(b"a", 1, 2)]


def test_a_line_longer_than_a_message_is_a_bug():
    """The encoder bounds its lines; a longer one is refused loudly, not sent for Grafana to cut the connection."""
    outbox = Outbox(0.1, max_message_bytes=8)
    outbox.add(batch(1, b"12345678"))
    with pytest.raises(ValueError, match="9 bytes"):
        outbox.add(batch(2, b"123456789"))


def test_a_message_tells_the_first_bell_that_led_to_its_lines():
    """Latency counts from the bell that was heard first; lines that nobody announced have none."""
    outbox = Outbox(0.0, max_message_bytes=8)
    for mark, rung_at in enumerate((None, 4.8, 4.9), start=1):
        outbox.add(Batch(mark, (b"aa",), (), rung_at=rung_at))
    assert outbox.take(5.0) == Message(b"aa\naa\naa", 3, 3, 4.8)
    outbox.add(Batch(4, (b"aa",), ()))
    assert outbox.take(5.0) == Message(b"aa", 1, 4, None)


def test_lines_that_had_no_room_keep_their_bell():
    """The second half of a page was announced by the same bell as the first."""
    outbox = Outbox(0.0, max_message_bytes=2)
    outbox.add(Batch(1, (b"aa", b"bb"), (), rung_at=4.8))
    outbox.add(Batch(2, (b"cc",), (), rung_at=4.9))
    assert [message.rung_at for message in take_all(outbox, 5.0)] == [4.8, 4.8, 4.9]


@pytest.mark.fault(93)
def test_the_default_limit_is_64_kib():
    """A message is never larger than 65,536 bytes, and may be exactly that."""
    outbox = Outbox(0.1)
    outbox.add(batch(1, b"x" * (MAX_MESSAGE_BYTES - 2), b"y", b"z"))
    assert [len(message.data) for message in take_all(outbox, 0.0)] == [65_536, 1]


LINES = st.lists(st.binary(min_size=1, max_size=12).map(lambda b: b.replace(b"\n", b".")), max_size=12)


@pytest.mark.fault(93)
@given(
    steps=st.lists(st.tuples(LINES, st.floats(0, 0.3), st.booleans()), max_size=20),
    interval_s=st.sampled_from([0.0, 0.1]),
    most=st.integers(12, 40),
    rooms=st.lists(st.integers(1, 50), min_size=1),
)
def test_every_line_once_in_order_and_in_time(steps, interval_s, most, rooms):
    """No line is lost, repeated or moved; no message too large; no two early; marks end in order, once, exactly."""
    outbox = Outbox(interval_s, max_message_bytes=most)
    room_of_next = itertools.cycle(rooms)
    now = 100.0
    ends: dict[int, int] = {}
    added: list[bytes] = []
    sent: list[bytes] = []
    marks: list[int] = []
    previous_at = -math.inf

    def take_due():
        nonlocal previous_at
        while outbox.due_at(now, room := next(room_of_next)) <= now:
            first_waiting = len(sent)
            message = outbox.take(now, room)
            limit = min(most, room)
            lines = message.data.split(b"\n") if message.data else []
            assert len(message.data) <= limit or len(lines) == 1
            assert message.rows == len(lines)
            sent.extend(lines)
            if lines:
                follower = added[len(sent)] if len(sent) < len(added) else None
                full = len(message.data) + (0 if follower is None else 1 + len(follower)) > limit
                assert full or now >= previous_at + interval_s
                previous_at = now
                assert sent[first_waiting:] == added[first_waiting : len(sent)]
            if message.completed_mark is not None:
                marks.append(message.completed_mark)
                assert ends[message.completed_mark] <= len(sent)
        # What is sent is complete as far as it can be.
        assert (marks[-1] if marks else 0) == max(
            (m for m, end in ends.items() if end <= len(sent)), default=0
        )
        assert outbox.waiting_bytes == sum(map(len, added[len(sent) :])) + len(added) - len(sent)

    for mark, (lines, pause, look) in enumerate(steps, start=1):
        outbox.add(batch(mark, *lines))
        added.extend(lines)
        ends[mark] = len(added)
        now += pause
        if look:
            take_due()
    now += 1.0
    take_due()
    while outbox:
        now = outbox.due_at(now)
        take_due()
    assert sent == added
    assert marks == sorted(set(marks))
    assert (marks[-1] if marks else 0) == len(steps)
