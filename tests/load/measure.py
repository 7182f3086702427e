"""Situations that last, each a function that returns figures; tests run them short, ``python -m tests.load`` long.

The bridge is a process of its own, so that its memory and processor time are its own; Postgres and the strict Live
server are real. Figures of time are told, never asserted: the machine is shared.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import trio

from tests.chaos.bridges import BridgeProcess
from tests.chaos.run import FIELDS, queue_usage, wait_all_delivered
from tests.chaos.sink import Sink, Verdict
from trio_bridge.config.names import parse_table
from trio_bridge.live.intake import Delivery
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install

TABLE = "public.load"

SCHEMA = f"""
CREATE TABLE {TABLE} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "timestamp" timestamptz NOT NULL DEFAULT clock_timestamp(),
    value double precision,
    note text
)
"""


class SteadyWriter(threading.Thread):
    """Inserts at a constant rate, whatever happens: a commit that comes late makes the next ones follow at once.

    Args:
        dsn: where to.
        rate: rows a second.
        rows: in each INSERT; each is a transaction.
        table: has the columns ``value`` and ``note``.
    """

    def __init__(self, dsn: str, rate: float, rows: int = 1, table: str = TABLE) -> None:
        super().__init__(daemon=True)
        self.committed = 0
        self.slowest_s = 0.0
        self.failure: BaseException | None = None
        self._dsn = dsn
        self._gap_s = rows / rate
        self._rows = rows
        self._table = table
        self._ending = threading.Event()

    def run(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                statement = (
                    f"INSERT INTO {self._table} (value, note) "
                    f"SELECT g, 'x' FROM generate_series(1, {self._rows}) g"
                )
                due = time.monotonic()
                while not self._ending.is_set():
                    began = time.monotonic()
                    connection.execute(statement)
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                    self.committed += self._rows
                    due += self._gap_s
                    self._ending.wait(max(0.0, due - time.monotonic()))
        # A thread's failure is told to whoever joins it.
        except BaseException as error:  # noqa: ASYNC103
            self.failure = error

    def finish(self) -> None:
        """Stop after the statement under way; raises what went wrong."""
        self._ending.set()
        self.join()
        if self.failure is not None:
            raise self.failure


@dataclass(slots=True)
class World:
    """A running bridge process between the two servers."""

    dsn: str
    live: LiveServer
    bridge: BridgeProcess
    sink: Sink

    def verdict(self) -> Verdict:
        """Table against deliveries."""
        with psycopg.connect(self.dsn) as connection:
            return self.sink.compare(connection, TABLE)

    def execute(self, statement: str) -> None:
        """One statement in autocommit."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)

    def statements(self) -> int:
        """Statements that the bridge's role of this database has ended, in transactions of their own."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(
                "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        assert row is not None
        return int(row[0])


@asynccontextmanager
async def bridge_world(
    dsn: str, directory: Path, *, on_message: bool = True, **route: str
) -> AsyncIterator[World]:
    """An installed table, the Live server and a bridge process that leads its route."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SCHEMA)
    install(dsn, parse_table(TABLE), routes=[TABLE])
    sink = Sink()
    async with LiveServer(on_message=sink if on_message else None) as live:
        bridge = BridgeProcess(dsn, live, directory, table=TABLE, fields=",".join(FIELDS), **route)
        world = World(dsn, live, bridge, sink)
        try:
            yield world
        finally:
            if bridge.alive:
                bridge.kill()


async def wait_connected(world: World, connections: int = 1) -> None:
    """Until the bridge has opened its `connections`-th push socket; fails if it ends instead."""
    while world.live.counters.connections < connections:
        assert world.bridge.alive, f"the bridge has ended: {world.bridge.log()}"
        await trio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class OutageFigures:
    """Grafana was away for a while."""

    verdict: Verdict
    queue_usage: float
    rss_before_kib: int
    rss_kib: list[int]
    settled_s: float
    slowest_commit_s: float


async def live_server_away(dsn: str, directory: Path, *, seconds: float, rate: float) -> OutageFigures:
    """Rows go on being written at `rate` a second while nothing listens where Grafana was."""
    async with bridge_world(dsn, directory) as world:
        world.bridge.start()
        await wait_connected(world)
        writer = SteadyWriter(dsn, rate, rows=max(1, int(rate / 500)))
        writer.start()
        await trio.sleep(2)
        before = world.bridge.rss_kib()
        usage, rss = 0.0, []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.live.restart, seconds)
            with trio.move_on_after(seconds):
                while True:
                    await trio.sleep(min(5.0, seconds / 4))
                    usage = max(usage, await trio.to_thread.run_sync(queue_usage, dsn))
                    rss.append(world.bridge.rss_kib())
        await trio.sleep(1)
        await trio.to_thread.run_sync(writer.finish)
        began = time.monotonic()
        await wait_all_delivered(dsn, TABLE, world.sink, limit_s=60)
        settled = time.monotonic() - began
        assert await world.bridge.terminate() == 0
        return OutageFigures(world.verdict(), usage, before, rss, settled, writer.slowest_s)


@dataclass(slots=True)
class BacklogFigures:
    """A backlog was worked off."""

    verdict: Verdict
    peak_rss_kib: int
    seconds: float
    arrivals: list[float] = field(default_factory=list)

    @property
    def rows_per_s(self) -> float:
        """From the first row's arrival to the last's."""
        return self.verdict.committed / self.seconds

    @property
    def slowdown(self) -> float:
        """Time for the last tenth of the messages against that for the first."""
        tenth = max(1, len(self.arrivals) // 10)
        return (self.arrivals[-1] - self.arrivals[-tenth - 1]) / (self.arrivals[tenth] - self.arrivals[0])


async def backlog(dsn: str, directory: Path, *, rows: int) -> BacklogFigures:
    """The bridge starts on a table that holds `rows` rows it has not seen, written by one transaction."""
    async with bridge_world(dsn, directory) as world:
        figures = BacklogFigures(Verdict(0, 0, 0, 0, 0), 0, 0.0)

        def arrived(delivery: Delivery) -> None:
            before = world.sink.rows
            world.sink(delivery)
            # A keyframe brings nothing new.
            if world.sink.rows > before:
                figures.arrivals.append(delivery.arrived_s)

        world.live.on_message = arrived
        world.execute(
            f"INSERT INTO {TABLE} (value, note) SELECT g, 'backlog' FROM generate_series(1, {rows}) g"
        )
        world.bridge.start()
        await wait_connected(world)
        while world.sink.rows < rows:
            await trio.sleep(0.05)
            figures.peak_rss_kib = max(figures.peak_rss_kib, world.bridge.rss_kib())
        figures.seconds = figures.arrivals[-1] - figures.arrivals[0]
        assert await world.bridge.terminate() == 0
        figures.verdict = world.verdict()
        return figures


async def restart_under_load(
    dsn: str, directory: Path, *, rate: float, restarts: int, gap_s: float
) -> Verdict:
    """SIGTERM and a new start, `restarts` times, in the middle of `rate` rows a second."""
    async with bridge_world(dsn, directory) as world:
        writer = SteadyWriter(dsn, rate, rows=max(1, int(rate / 500)))
        world.bridge.start()
        await wait_connected(world)
        writer.start()
        for number in range(restarts):
            await trio.sleep(gap_s)
            assert await world.bridge.terminate() == 0
            world.bridge.start()
            await wait_connected(world, number + 2)
        await trio.sleep(gap_s)
        await trio.to_thread.run_sync(writer.finish)
        await wait_all_delivered(dsn, TABLE, world.sink, limit_s=30)
        assert await world.bridge.terminate() == 0
        return world.verdict()


@dataclass(frozen=True, slots=True)
class SteadyFigures:
    """A steady state.

    Attributes:
        statements_per_s: of the bridge; None while others write, whose transactions Postgres counts with a delay.
    """

    statements_per_s: float | None
    cpu: float
    rss_kib: int
    messages_per_s: float
    bytes_per_s: float
    rows_per_s: float


async def steady(
    dsn: str, directory: Path, *, seconds: float, rate: float, history_rows: int = 1000
) -> SteadyFigures:
    """The bridge at `rate` rows a second (0: idle), after two seconds of settling."""
    async with bridge_world(dsn, directory, history_rows=str(history_rows)) as world:
        size = 0

        def arrived(delivery: Delivery) -> None:
            nonlocal size
            size += len(delivery.raw)

        world.live.on_message = arrived
        world.bridge.start()
        await wait_connected(world)
        writer = SteadyWriter(dsn, rate) if rate else None
        if writer is not None:
            writer.start()
        await trio.sleep(3)
        committed = writer.committed if writer else 0
        size = 0
        messages, cpu, began = world.live.counters.messages, world.bridge.cpu_s(), time.monotonic()
        transactions = await trio.to_thread.run_sync(world.statements)
        await trio.sleep(seconds)
        took = time.monotonic() - began
        # Postgres tells its counters about once a second; the query itself counts as one.
        ended = await trio.to_thread.run_sync(world.statements)
        written = (writer.committed if writer else 0) - committed
        figures = SteadyFigures(
            statements_per_s=None if rate else (ended - transactions - 1) / took,
            cpu=(world.bridge.cpu_s() - cpu) / took,
            rss_kib=world.bridge.rss_kib(),
            messages_per_s=(world.live.counters.messages - messages) / took,
            bytes_per_s=size / took,
            rows_per_s=written / took,
        )
        if writer is not None:
            await trio.to_thread.run_sync(writer.finish)
        assert await world.bridge.terminate() == 0
        return figures
