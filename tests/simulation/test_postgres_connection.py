"""What lies between the model and its clients: time, silence, ends that one side does not know of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing

import pytest
from psycopg import pq

from tests.simulation.postgres import Cluster, ModelServer, ModelSession, Point, Refusal
from tests.simulation.postgres.against.model import Clock
from tests.simulation.postgres.connection import CUT_AFTER_S
from trio_bridge.config.names import TableName
from trio_bridge.errors import SourceError
from trio_bridge.handover import Wake
from trio_bridge.postgres.catalogue import Cluster as Seen
from trio_bridge.postgres.catalogue import read_cluster, read_table
from trio_bridge.postgres.checkpoint import Checkpoint
from trio_bridge.postgres.delta import DeltaReader
from trio_bridge.postgres.position import Position, Snapshot, Span
from trio_bridge.postgres.queries import LEADER_CLASS, statement
from trio_bridge.postgres.session import (
    Aborted,
    ConnectionLost,
    LoginRefused,
    Session,
    StatementRefused,
)

ROUTE = "r"
POINT = Point("2026-01-02T03:04:05+00:00", 1.0)
LEAD = f"SELECT pg_try_advisory_lock({LEADER_CLASS}, 1)"
LEADER = (LEADER_CLASS, 1)
DELAY_S = 0.1
LOCK_TIMEOUT_S = 0.5


class World:
    """A server, the clock, and clients that are one thread."""

    def __init__(self, wake: Wake) -> None:
        self.wake = wake
        self.clock = Clock(DELAY_S)
        self.cluster = Cluster()
        self.cluster.add_route(ROUTE)
        self.server = ModelServer(self.cluster, self.clock, lock_timeout_s=LOCK_TIMEOUT_S)

    def connect(self, timeout_s: float = 10) -> ModelSession:
        return self.server.connect("", self.wake, timeout_s=timeout_s, caller=self.clock)

    def sleep(self, seconds: float) -> None:
        until = self.clock.now() + seconds
        while self.clock.now() < until:
            self.clock.block(until)

    def insert(self, count: int = 1) -> None:
        self.cluster.connect().insert([POINT] * count)

    def reader(self, session: ModelSession) -> DeltaReader:
        """Its statements are prepared."""
        watched = read_table(_real(session), TableName("public", "live_metrics"), timeout_s=1)
        reader = DeltaReader(TableName("public", "live_metrics"), watched.key, ["value"])
        for span, text in reader.statements.items():
            session.prepare(span.value, text, timeout_s=1)
        return reader

    def free(self) -> bool:
        """Whether the leader's lock is."""
        stranger = self.cluster.connect()
        try:
            return stranger.try_lock(LEADER)
        finally:
            stranger.end()


def _real(session: ModelSession) -> Session:
    return session  # type: ignore[return-value]


@pytest.fixture
def world() -> Iterator[World]:
    """A tenth of a second between any two."""
    with closing(Wake()) as wake:
        yield World(wake)


EARLIEST = Position(Snapshot(3, 3))


def test_there_and_back(world: World) -> None:
    """A statement is executed after one way and answered after two."""
    session = world.connect()
    begin = world.clock.now()
    assert session.query("SELECT 1", timeout_s=1) == [("1",)]
    assert world.clock.now() == begin + 2 * DELAY_S


def test_a_bell_takes_its_time(world: World) -> None:
    """It ends a wait when it arrives, not when it rings, and is there once."""
    session = world.connect()
    session.query("LISTEN influx_feed", timeout_s=1)
    world.cluster.connect().notify("influx_feed", b"x")
    assert session.notifications() == []
    rung = world.clock.now()
    session.wait(rung + 10)
    assert world.clock.now() == rung + DELAY_S
    assert [bell.payload for bell in session.notifications()] == [b"x"]
    assert session.notifications() == []


def test_silence_is_given_up(world: World) -> None:
    """Lost on its way, a statement costs the connection; the server frees the locks some seconds later."""
    session = world.connect()
    session.query(LEAD, timeout_s=1)
    world.clock.delay_s = math.inf
    begin = world.clock.now()
    with pytest.raises(ConnectionLost, match="silent"):
        session.query("SELECT 1", timeout_s=1.5)
    assert world.clock.now() == begin + 1.5
    session.close()
    world.sleep(1)
    assert not world.free()
    world.sleep(CUT_AFTER_S)
    assert world.free()
    assert not world.server.connections


def test_an_idle_session_is_cut(world: World) -> None:
    """A client that stands still loses its session, and hears of it when it goes on."""
    session = world.connect()
    session.query(LEAD, timeout_s=1)
    world.sleep(CUT_AFTER_S - DELAY_S / 2)
    assert world.free()
    world.sleep(1)
    with pytest.raises(ConnectionLost, match="57P05"):
        session.query("SELECT 1", timeout_s=1)


def test_terminated_and_not_knowing(world: World) -> None:
    """The lock is free at once, while the client still thinks that it leads; what it sends is not executed."""
    session = world.connect()
    cluster = read_cluster(_real(session), timeout_s=1)
    checkpoint, position = Checkpoint.take_over(_real(session), ROUTE, cluster, timeout_s=1)
    session.query(LEAD, timeout_s=1)
    world.server.connections[0].terminate()
    assert world.free()
    before = world.cluster.checkpoint(ROUTE)
    with pytest.raises(ConnectionLost, match="57P01"):
        checkpoint.write(_real(session), position, timeout_s=1)
    assert world.cluster.checkpoint(ROUTE) == before
    with pytest.raises(ConnectionLost, match="57P01"):
        session.wait(world.clock.now() + 1)


def test_half_open(world: World) -> None:
    """The client finds out by silence, the server by its own, and what was on the way is lost."""
    session = world.connect()
    session.query(LEAD, timeout_s=1)
    world.clock.later(world.clock.now() + DELAY_S / 2, world.server.connections[0].vanish)
    with pytest.raises(ConnectionLost, match="silent"):
        session.query("SELECT 1", timeout_s=1)
    session.close()
    assert not world.free()
    world.sleep(CUT_AFTER_S)
    assert world.free()


def test_a_statement_outlives_its_client(world: World) -> None:
    """A slow server still writes the checkpoint of a client that has given it up."""
    session = world.connect()
    seen = Seen(world.cluster.system_identifier, prepares=False, timeline=1)
    checkpoint, _ = Checkpoint.take_over(_real(session), ROUTE, seen, timeout_s=1)
    world.clock.delay_s = 2.0
    with pytest.raises(ConnectionLost, match="silent"):
        checkpoint.write(_real(session), EARLIEST, timeout_s=1)
    session.close()
    assert world.cluster.checkpoint(ROUTE).snapshot != "3:3:"
    world.sleep(2)
    assert world.cluster.checkpoint(ROUTE).snapshot == "3:3:"
    world.sleep(2)
    assert not world.server.connections


def test_a_page_in_chunks_that_is_cut(world: World) -> None:
    """Rows come in chunks; what has come before the silence has been read."""
    world.insert(600)
    session = world.connect()
    reader = world.reader(session)
    reader._limit = 1000
    chunks: list[int] = []
    results = session.run(Span.FIRST.value, reader.params(EARLIEST), timeout_s=1)
    chunks += [result.ntuples for result in results]
    assert chunks == [256, 256, 89, 0]

    results = session.run(Span.FIRST.value, reader.params(EARLIEST), timeout_s=1)
    # Up, then the first chunk, then nothing.
    delays = iter([DELAY_S])
    world.server.connections[0]._down._latency = lambda: next(delays, math.inf)
    assert next(results).status == pq.ExecStatus.TUPLES_CHUNK
    with pytest.raises(ConnectionLost, match="silent"):
        next(results)


def test_a_locked_table(world: World) -> None:
    """A delta waits for it, sees what came meanwhile, or is refused after the lock's timeout."""
    session = world.connect()
    reader = world.reader(session)
    writer = world.cluster.connect()
    writer.begin()
    writer.insert([POINT])
    begin = world.clock.now()
    world.cluster.lock_table()

    def free() -> None:
        writer.commit()
        world.cluster.unlock_table()

    world.clock.later(begin + LOCK_TIMEOUT_S / 2, free)
    results = session.run(Span.FIRST.value, reader.params(EARLIEST), timeout_s=1)
    assert len(reader.read(EARLIEST, results).rows) == 1  # type: ignore[arg-type]
    assert world.clock.now() == begin + LOCK_TIMEOUT_S / 2 + DELAY_S

    world.cluster.lock_table()
    begin = world.clock.now()
    with pytest.raises(StatementRefused, match="55P03") as refused:
        list(session.run(Span.FIRST.value, reader.params(EARLIEST), timeout_s=1))
    assert refused.value.sqlstate == "55P03"
    assert world.clock.now() == pytest.approx(begin + LOCK_TIMEOUT_S + 2 * DELAY_S)
    assert session.query("SELECT 1", timeout_s=1) == [("1",)]


def test_discard_all(world: World) -> None:
    """A pooler's DISCARD ALL takes the lock, the LISTEN and the prepared statements of a session that lives on."""
    session = world.connect()
    reader = world.reader(session)
    session.query("LISTEN influx_feed", timeout_s=1)
    session.query(LEAD, timeout_s=1)
    world.server.connections[0].discard_all()
    assert world.free()
    ((_, listening, _),) = session.query(statement("queries/probe"), ("influx_feed",), timeout_s=1)
    assert listening == "f"
    with pytest.raises(StatementRefused, match="26000"):
        list(session.run(Span.FIRST.value, reader.params(EARLIEST), timeout_s=1))


@pytest.mark.parametrize("refusal", [None, Refusal.STARTING, Refusal.FULL])
def test_no_login(world: World, refusal: Refusal | None) -> None:
    """A server that is down, starting or full is an error that passes."""
    world.server.refusal = refusal
    if refusal is None:
        world.cluster.stop()
    with pytest.raises(SourceError, match="cannot connect") as failure:
        world.connect()
    assert not isinstance(failure.value, LoginRefused)
    assert world.clock.now() == 2 * DELAY_S


def test_login_refused(world: World) -> None:
    """A server that knows us not says so."""
    world.server.refusal = Refusal.LOGIN
    with pytest.raises(LoginRefused, match="password"):
        world.connect()


def test_a_login_that_comes_too_late(world: World) -> None:
    """The client gives up; the session that it never saw ends."""
    with pytest.raises(SourceError, match="did not let us in"):
        world.connect(timeout_s=1.5 * DELAY_S)
    assert world.clock.now() == 1.5 * DELAY_S
    assert world.server.connections
    world.sleep(DELAY_S)
    assert not world.server.connections


def test_abort(world: World) -> None:
    """Told to end, a session ends its wait and takes no answer any more."""
    session = world.connect()
    world.clock.later(world.clock.now() + DELAY_S, world.wake.abort)
    with pytest.raises(Aborted):
        session.wait(world.clock.now() + 10)
    with pytest.raises(Aborted):
        session.query("SELECT 1", timeout_s=1)


def test_a_crash_is_the_end_of_all_sessions(world: World) -> None:
    """Every client learns of it as soon as the news gets through."""
    session = world.connect()
    world.cluster.crash(world.cluster.crash_range[0])
    world.cluster.start()
    assert not world.server.connections
    with pytest.raises(ConnectionLost, match="closed the connection"):
        session.wait(world.clock.now() + 1)


def test_unknown_statements(world: World) -> None:
    """What the bridge's own code does not make is no statement of the bridge, and shown."""
    session = world.connect()
    with pytest.raises(AssertionError, match="DROP TABLE live_metrics"):
        session.query("DROP TABLE live_metrics", timeout_s=1)
