"""Faults that only show when the algorithm is tried: each once lost rows, or time, in a prototype.

Real Postgres, the real service in this process, the strict Live server.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg
import pytest
import structlog
import trio
from structlog.testing import capture_logs

from tests.chaos.bridges import running_bridge, settings_for
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import RouteSettings
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.errors import ConfigError
from trio_bridge.listener.modes import Mode
from trio_bridge.live.intake import Delivery
from trio_bridge.live.keyframes import DeltaFilter
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install
from trio_bridge.postgres.queries import GATE_CLASS
from trio_bridge.service import Service, run_service

TABLE = "public.live_metrics"


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Log events of these tests go nowhere unless a test captures them."""
    structlog.configure(
        logger_factory=structlog.ReturnLoggerFactory(), processors=[lambda _, __, event: str(event)]
    )
    yield
    structlog.reset_defaults()


@dataclass(slots=True)
class World:
    """A bridge that runs on ``live_metrics``, and what arrived of it."""

    dsn: str
    service: Service
    arrived: dict[int, float]
    duplicates: int = 0
    new: DeltaFilter = field(default_factory=DeltaFilter)

    def __call__(self, delivery: Delivery) -> None:
        for point in self.new(delivery):
            key = int(point.fields["id"])
            self.duplicates += key in self.arrived
            self.arrived[key] = delivery.arrived_s

    @property
    def mode(self) -> Mode:
        return self.service.routes[0].status.mode

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def insert(self) -> int:
        ((key,),) = self.execute(f"INSERT INTO {TABLE} (value) VALUES (1) RETURNING id")
        assert isinstance(key, int)
        return key

    async def wait_arrived(self, *keys: int) -> None:
        await wait_until(lambda: all(key in self.arrived for key in keys))


@asynccontextmanager
async def bridge(dsn: str, interval_ms: int = 100) -> AsyncIterator[World]:
    """An installed ``live_metrics`` and a running bridge on it."""
    install(dsn, parse_table(TABLE), routes=[TABLE])
    async with LiveServer() as live:
        route = RouteSettings(name=TABLE, table=TABLE, fields=("id", "value"))
        async with running_bridge(settings_for(dsn, live, route, interval_ms=interval_ms)) as service:
            world = World(dsn, service, {})
            live.on_message = world
            await live.wait_connections(1)
            yield world


@pytest.mark.fault(125)
@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_125_table_rewritten_while_the_delta_waits(database: Database, isolation: str) -> None:
    """Rows survive a rewriting ALTER TABLE that the delta waits for, whatever isolation is the role's default."""
    with database.connect() as connection:
        connection.execute(f"ALTER ROLE CURRENT_USER SET default_transaction_isolation = '{isolation}'")
    try:
        async with bridge(database.dsn) as world:
            first = world.insert()
            await world.wait_arrived(first)
            with database.connect(autocommit=False) as connection:
                connection.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
                rows = connection.execute(
                    f"INSERT INTO {TABLE} (value) SELECT g FROM generate_series(1, 10) g RETURNING id"
                ).fetchall()
                await trio.to_thread.run_sync(wait_bridge_waits_for_lock, database)
                connection.execute(f"ALTER TABLE {TABLE} ALTER COLUMN value TYPE numeric")
                connection.commit()
            await world.wait_arrived(*(key for (key,) in rows))
            last = world.insert()
            await world.wait_arrived(last)
            assert world.duplicates == 0
    finally:
        with database.connect() as connection:
            connection.execute("ALTER ROLE CURRENT_USER RESET default_transaction_isolation")


def wait_bridge_waits_for_lock(database: Database) -> None:
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = %s AND application_name LIKE 'trio_bridge %%' AND wait_event_type = 'Lock'
    """
    deadline = time.monotonic() + 10
    with database.server.connect() as connection:
        while connection.execute(query, (database.name,)).fetchone() == (0,):
            assert time.monotonic() < deadline, (
                "the bridge never waited for the lock: this run proves nothing"
            )


@pytest.mark.fault(126)
@pytest.mark.deadline(90)
async def test_126_positions_do_not_outlive_a_crash_that_reuses_xids() -> None:
    """After a crash that forgot transactions, whose ids are used again, every row of after the crash arrives."""
    # Commits return before they are on disk and the WAL writer hardly writes: the crash forgets them.
    with EmbeddedPostgres(fsync=True, synchronous_commit="off", wal_writer_delay="10s") as server:
        server.create_database("crash")
        dsn = server.dsn("crash")
        async with bridge(dsn, interval_ms=0) as world:
            world.execute("CHECKPOINT")
            reused = 0
            for _ in range(6):
                before = {world.insert() for _ in range(20)}
                await wait_until(lambda keys=before: keys <= world.arrived.keys())  # type: ignore[misc]
                ((last_xid,),) = world.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
                await trio.to_thread.run_sync(server.restart, "immediate")
                world.arrived.clear()
                ((next_xid,),) = world.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
                assert isinstance(next_xid, int)
                assert isinstance(last_xid, int)
                reused += next_xid < last_xid
                after = [world.insert() for _ in range(20)]
                await world.wait_arrived(*after)
            assert reused > 0, "no crash ever forgot a transaction: this run proves nothing"


@pytest.mark.fault(127)
@pytest.mark.deadline(240)
async def test_127_writers_cancelled_inside_the_trigger_leak_no_gate(
    database: Database, figures: Callable[..., None], *, full_length: bool
) -> None:
    """Statements cut off at any moment, also inside the trigger, leave no session with the gate in its hand."""
    rounds, least = (5_000, 10_000) if full_length else (400, 100)
    async with bridge(database.dsn) as world:
        cancelled = await trio.to_thread.run_sync(cancel_many_inserts, database.dsn, 4, rounds)
        assert cancelled > least, "hardly a statement was cut off: this run proves nothing"
        figures(cancelled_statements=cancelled)
        held = world.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' "
            f"AND classid = {GATE_CLASS}"
        )
        assert held == [(0,)]
        await wait_until(lambda: world.mode is Mode.NOTIFY)


def cancel_many_inserts(dsn: str, sessions: int, rounds: int) -> int:
    """Insert with a timeout around what an insert takes; the sessions stay, as a pool's do, until all are done."""
    cancelled = 0
    lock = threading.Lock()
    done = threading.Barrier(sessions)

    def hammer(seed: int) -> None:
        nonlocal cancelled
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(
                "CREATE OR REPLACE FUNCTION pg_temp.noise() RETURNS void LANGUAGE plpgsql AS $$ BEGIN "
                f"FOR i IN 1..300 LOOP INSERT INTO {TABLE} (value) VALUES (i); END LOOP; END $$"
            )
            for number in range(rounds):
                try:
                    connection.execute(f"SET statement_timeout = {1 + (number + seed) % 3}")
                    connection.execute("SELECT pg_temp.noise()")
                except psycopg.errors.QueryCanceled:
                    with lock:
                        cancelled += 1
            done.wait(60)

    threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return cancelled


@pytest.mark.fault(128)
@pytest.mark.parametrize("lock", ["pg_advisory_lock", "pg_advisory_lock_shared"])
async def test_128_gate_held_by_a_stranger(database: Database, lock: str) -> None:
    """A stranger with our gate costs latency only: polling goes on, its pid is logged, nothing is lost."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    with database.connect() as stranger, capture_logs() as logs:
        stranger.execute(f"SELECT {lock}({GATE_CLASS}, '{TABLE}'::regclass::oid::int4)")
        async with bridge(database.dsn) as world:
            await wait_until(lambda: any(entry["event"] == "gate_held" for entry in logs))
            keys = [world.insert() for _ in range(20)]
            await world.wait_arrived(*keys)
            assert world.mode is Mode.POLL
            assert world.duplicates == 0
        (said,) = [entry for entry in logs if entry["event"] == "gate_held"]
        assert said["pids"] == str(stranger.info.backend_pid)


@pytest.mark.fault(129)
async def test_129_row_level_security_is_an_error_not_silence(database: Database) -> None:
    """A policy that would hide rows from the bridge's role ends the start with one sentence."""
    role = f"reader_{database.name}"
    with database.connect() as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
    try:
        install(database.dsn, parse_table(TABLE), routes=[TABLE], role=role)
        database.execute(f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY")
        async with LiveServer() as live:
            route = RouteSettings(name=TABLE, table=TABLE)
            settings = settings_for(database.server.dsn(database.name, user=role), live, route)
            with pytest.raises(ConfigError, match="row-level security"):
                await run_service(settings)
    finally:
        with database.connect() as connection:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.fault(131)
async def test_131_a_bell_during_a_statement_is_heard(
    database: Database, figures: Callable[..., None]
) -> None:
    """A bell that arrives while a delta or a checkpoint write runs makes the row no later than any other."""
    async with bridge(database.dsn, interval_ms=0) as world:
        slow: list[float] = []
        with psycopg.connect(database.dsn, autocommit=True) as writer:
            for _ in range(30):
                await wait_until(lambda: world.mode is Mode.NOTIFY)
                # Two commits as close as can be: the second bell comes while the first one's delta, or the
                # checkpoint that follows it, is under way.
                keys = []
                for _ in range(2):
                    row = writer.execute(f"INSERT INTO {TABLE} (value) VALUES (1) RETURNING id").fetchone()
                    assert row is not None
                    keys.append(row[0])
                committed = time.monotonic()
                await world.wait_arrived(*keys)
                slow.append(max(world.arrived[key] for key in keys) - committed)
        # A bell that was not heard waits for the half-second delta; a busy machine does not look like that.
        figures(median_late_ms=1000 * sorted(slow)[len(slow) // 2])
        assert sorted(slow)[len(slow) // 2] < 0.1, slow
        assert sum(late > 0.3 for late in slow) <= 3, slow
