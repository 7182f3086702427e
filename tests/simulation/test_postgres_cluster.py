"""What of the model no history compares: commits in two steps, failovers, refusals, hooks."""

from __future__ import annotations

import pytest

from tests.simulation.postgres import (
    Backend,
    BackendEnded,
    CheckpointChange,
    Cluster,
    Down,
    Point,
    TableLocked,
)
from tests.simulation.postgres.faults import Refused

ROUTE = "r"
POINT = Point("2026-01-02T03:04:05+00:00", 1.0)


@pytest.fixture
def cluster() -> Cluster:
    """With one route."""
    cluster = Cluster()
    cluster.add_route(ROUTE)
    return cluster


def _committed(cluster: Cluster, *, synchronous: bool) -> int:
    """The uid of a row that was committed just now."""
    writer = cluster.connect()
    writer.begin()
    (row,) = writer.insert([POINT])
    assert writer.commit(synchronous=synchronous)
    writer.end()
    return row.uid


def _uids(cluster: Cluster) -> set[int]:
    return {row.uid for row in cluster.committed()}


def test_a_crash_may_lose_what_was_not_flushed(cluster: Cluster) -> None:
    """A synchronous commit survives, an asynchronous one may not, and its ids are given to other rows."""
    kept = _committed(cluster, synchronous=True)
    lost = _committed(cluster, synchronous=False)
    assert _uids(cluster) == {kept, lost}
    low, _ = cluster.crash_range
    cluster.crash(low)
    with pytest.raises(Down):
        cluster.connect()
    cluster.start()
    assert _uids(cluster) == {kept}
    assert cluster.snapshot().xmax == cluster.ever[lost].txid
    (again,) = cluster.connect().insert([POINT])
    assert again.txid == cluster.ever[lost].txid
    assert set(cluster.ever) == {kept, lost, again.uid}


def test_what_is_flushed_survives_every_crash(cluster: Cluster) -> None:
    """Once the WAL writer has been there, an asynchronous commit is as good as any."""
    row = _committed(cluster, synchronous=False)
    cluster.flush()
    low, high = cluster.crash_range
    assert low == high
    cluster.crash(low)
    cluster.start()
    assert _uids(cluster) == {row}


def test_a_commit_nobody_saw_may_survive(cluster: Cluster) -> None:
    """Between its two steps a commit is invisible, and after a crash it is there."""
    writer = cluster.connect()
    writer.begin()
    (row,) = writer.insert([POINT])
    assert writer.begin_commit(synchronous=True)
    assert not cluster.committed()
    assert cluster.snapshot().xmax == row.txid
    assert not cluster.ever
    cluster.crash(cluster.crash_range[0])
    cluster.start()
    assert _uids(cluster) == set(cluster.ever) == {row.uid}
    assert writer.ended


def test_a_failover_may_lose_what_was_acknowledged(cluster: Cluster) -> None:
    """A standby that lags has neither the row nor the checkpoint, on another timeline, but always the route."""
    _committed(cluster, synchronous=True)
    bridge = cluster.connect()
    taken = cluster.take_over(bridge, ROUTE)
    assert taken is not None
    assert taken.epoch == 1
    low, _ = cluster.failover_range
    cluster.failover(low)
    cluster.start()
    assert cluster.timeline == 2
    assert not cluster.committed()
    assert cluster.checkpoint(ROUTE).epoch == 0
    assert len(cluster.ever) == 1
    assert cluster.failover_range[0] > low


def test_a_stop_loses_nothing(cluster: Cluster) -> None:
    """Sessions end with the reason, open transactions are rolled back, what was committed is there."""
    row = _committed(cluster, synchronous=False)
    writer = cluster.connect()
    writer.begin()
    writer.insert([POINT])
    reasons: list[str] = []
    writer.on_end = reasons.append
    cluster.stop()
    cluster.start()
    assert _uids(cluster) == {row}
    assert "57P01" in reasons[0]
    with pytest.raises(BackendEnded):
        writer.commit()


def _ringing(cluster: Cluster) -> tuple[Backend, Backend]:
    """Two writers whose open transactions will ring."""
    writers = cluster.connect(), cluster.connect()
    for writer in writers:
        writer.begin()
        writer.insert([POINT])
    return writers


def _listening(cluster: Cluster) -> tuple[Backend, list[bytes]]:
    """Who holds the gate and listens, and what it hears."""
    bridge = cluster.connect()
    bridge.listen("influx_feed")
    assert bridge.try_gate()
    heard: list[bytes] = []
    bridge.hear = lambda bell: heard.append(bell[1])
    return bridge, heard


def test_ringing_commits_take_turns(cluster: Cluster) -> None:
    """While one is between its two steps another waits, and is done as soon as that one is."""
    _, heard = _listening(cluster)
    first, second = _ringing(cluster)
    assert first.begin_commit()
    assert not second.commit()
    assert not cluster.committed()
    assert first.end_commit()
    assert len(cluster.committed()) == 2
    assert heard == [str(cluster.oid).encode()] * 2
    assert not second.in_transaction


def test_a_waiting_commit_that_is_killed(cluster: Cluster) -> None:
    """It never happened, and nobody waits for it."""
    _listening(cluster)
    first, second = _ringing(cluster)
    assert first.begin_commit()
    assert not second.begin_commit()
    second.end("killed")
    assert first.end_commit()
    assert len(cluster.committed()) == 1
    assert cluster.connect().insert([POINT])


def test_a_logged_commit_that_is_killed(cluster: Cluster) -> None:
    """Past its first step nothing can stop it."""
    _, heard = _listening(cluster)
    first, second = _ringing(cluster)
    assert first.begin_commit()
    assert not second.commit()
    first.end("killed")
    assert len(cluster.committed()) == 2
    assert len(heard) == 2


def test_a_crash_silences_all(cluster: Cluster) -> None:
    """Nobody listens, nobody holds a lock, and what would have rung does not."""
    bridge, heard = _listening(cluster)
    _ringing(cluster)
    cluster.crash(cluster.crash_range[0])
    cluster.start()
    assert bridge.ended
    assert cluster.connect().try_gate()
    cluster.connect().insert([POINT])
    assert not heard


def test_hooks_see_both_rows(cluster: Cluster) -> None:
    """A takeover and a write are told at once, with the row before and after, and by whom; a refused one is not."""
    told: list[CheckpointChange] = []
    cluster.on_take_over.append(told.append)
    cluster.on_write.append(told.append)
    bridge = cluster.connect()
    cluster.take_over(bridge, ROUTE)
    cluster.write_checkpoint(bridge, ROUTE, 1, ("5:5:", None, None, None))
    assert cluster.write_checkpoint(bridge, ROUTE, 0, ("6:6:", None, None, None)) is None
    assert [(change.old.epoch, change.new.epoch, change.pid) for change in told] == [
        (0, 1, bridge.pid),
        (1, 1, bridge.pid),
    ]
    assert told[1].new.snapshot == cluster.checkpoint(ROUTE).snapshot == "5:5:"


@pytest.mark.parametrize(("sqlstate", "drawn"), [("25006", 0), ("42501", 0), ("53100", 1)])
def test_refused_checkpoints(cluster: Cluster, sqlstate: str, drawn: int) -> None:
    """Nothing is written; only a full disk is noticed after an id was drawn."""
    bridge = cluster.connect()
    before = cluster.snapshot().xmax
    cluster.checkpoint_refusal = sqlstate
    with pytest.raises(Refused, match=r"\w"):
        cluster.take_over(bridge, ROUTE)
    assert cluster.checkpoint(ROUTE).epoch == 0
    assert cluster.snapshot().xmax == before + drawn
    cluster.checkpoint_refusal = None
    assert cluster.take_over(bridge, ROUTE) is not None


def test_writers_and_a_locked_table(cluster: Cluster) -> None:
    """Who has written in its transaction goes on, who comes new cannot."""
    old, new = cluster.connect(), cluster.connect()
    old.begin()
    old.insert([POINT])
    cluster.lock_table()
    old.insert([POINT])
    with pytest.raises(TableLocked):
        new.insert([POINT])
    cluster.unlock_table()
    assert new.insert([POINT])
    cluster.lock_table()
    cluster.backends[-1].end("killed")
    assert new.insert([POINT])
    cluster.unlock_table()
