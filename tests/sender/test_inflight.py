"""The account of what Grafana has not acknowledged yet."""

import math

from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.sender.inflight import Acknowledgement, InFlight
from trio_bridge.sender.pace import Message


def test_a_pong_covers_all_that_was_written_before_its_ping():
    """Two messages before the ping are acknowledged, the one after it is not."""
    account = InFlight(b"nonce")
    account.wrote(Message(b"aaa", 2, 1))
    account.wrote(Message(b"bb", 1, None))
    ping = account.ping(5.0)
    account.wrote(Message(b"c", 1, 2))
    assert account.unacknowledged_bytes == 6
    assert account.answered(ping) == Acknowledgement(3, 1, 2)
    assert account.unacknowledged_bytes == 1
    assert account.wants_ping
    assert account.answered(account.ping(6.0)) == Acknowledgement(1, 2, 1)
    assert account.settled


def test_a_later_pong_answers_the_pings_before_it():
    """A lost pong is made good by the next one; the earlier ping then proves nothing new."""
    account = InFlight(b"nonce")
    account.wrote(Message(b"a", 1, 1))
    first = account.ping(5.0)
    account.wrote(Message(b"b", 1, 2))
    second = account.ping(6.0)
    assert account.waits_since == 5.0
    assert account.answered(second) == Acknowledgement(2, 2, 2)
    assert account.waits_since == math.inf
    assert account.answered(first) == Acknowledgement(0, None, 0)
    assert account.settled


def test_a_mark_without_data_wants_a_ping():
    """A page whose rows were all rejected is acknowledged behind the pages before it."""
    account = InFlight(b"nonce")
    account.wrote(Message(b"", 0, 1))
    assert account.wants_ping
    assert not account.settled
    assert account.answered(account.ping(5.0)) == Acknowledgement(0, 1, 1)


def test_a_ping_for_nothing_acknowledges_nothing():
    """A ping that only asks whether the other side lives changes no account, but it is waited for."""
    account = InFlight(b"nonce")
    ping = account.ping(5.0)
    assert account.waits_since == 5.0
    assert not account.settled
    assert account.answered(ping) == Acknowledgement(0, None, 0)
    assert account.settled


def test_payloads_never_repeat():
    """Each ping has a payload of its own, and two connections share none."""
    pings = [account.ping(0.0) for account in (InFlight(b"one"), InFlight(b"two")) for _ in range(300)]
    assert len({ping.payload for ping in pings}) == 600
    assert max(len(ping.payload) for ping in pings) <= 125


@given(st.lists(st.sampled_from(["write", "mark", "ping", "first", "last"]), max_size=60))
def test_each_row_and_mark_is_acknowledged_once_in_order(steps):
    """Whatever the order of writes, pings and pongs: rows add up, marks only grow, nothing is proven too early."""
    account = InFlight(b"nonce")
    rows = acknowledged = mark = 0
    marks: list[int] = []
    waiting = []
    for step in steps:
        if step in {"write", "mark"}:
            rows += 1
            mark += step == "mark"
            account.wrote(Message(b"x", 1, mark if step == "mark" else None))
        elif step == "ping":
            waiting.append((account.ping(0.0), rows, mark))
        elif waiting:
            ping, rows_then, mark_then = waiting.pop(0 if step == "first" else -1)
            proven = account.answered(ping)
            acknowledged += proven.rows
            assert acknowledged >= rows_then
            if proven.mark is not None:
                marks.append(proven.mark)
                assert proven.mark == mark_then
        assert account.unacknowledged_bytes == rows - acknowledged
    assert marks == sorted(set(marks))
