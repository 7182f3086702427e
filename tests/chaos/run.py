"""One chaos run: writers, a bridge, faults for a while; then quiet, and the verdict.

It must converge: after the last fault every committed row arrives. The run waits for that fact, within a limit.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import trio
from psycopg.conninfo import make_conninfo

from tests.chaos.bridges import BridgeProcess, running_bridge, settings_for
from tests.chaos.sink import Sink, Verdict
from tests.chaos.writers import SCHEMA, TABLE, Writer
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import RouteSettings
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install

FIELDS = ("id", "value", "note")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        seconds: of chaos.
        seed: decides writers, moments and faults.
        faults: names of `Chaos` methods, drawn at random.
        fault_every_s: least and most time between two.
        process: the bridge is a process of its own (kill needs it); else its mode is flipped all the time.
        trigger: False: there is none.
        bulk_rows: of a COPY.
    """

    seconds: float
    seed: int = 1
    faults: tuple[str, ...] = ()
    fault_every_s: tuple[float, float] = (1.0, 3.0)
    process: bool = False
    trigger: bool = True
    bulk_rows: tuple[int, int] = (20_000, 200_000)
    writers: int = 8


@dataclass(slots=True)
class Report:
    """What came of it."""

    verdict: Verdict
    acts: Counter[str]
    flips: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    settled_s: float = 0.0
    slowest_commit_s: float = 0.0
    queue_usage: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.verdict}\n  acts: {dict(self.acts)}\n  flips: {self.flips}, faults: {dict(self.faults)}, "
            f"bridge restarts: {self.restarts}, settled {self.settled_s:.1f} s after the last write, "
            f"slowest plain commit {self.slowest_commit_s * 1000:.0f} ms, "
            f"notification queue at most {self.queue_usage:.4%}"
        )


class Chaos:
    """The world of one run, and the faults that can befall it."""

    def __init__(
        self, plan: Plan, server: EmbeddedPostgres, dsn: str, live: LiveServer, bridge: BridgeProcess | None
    ):
        self._random = random.Random(plan.seed)
        self._server = server
        self._dsn = dsn
        self._live = live
        self._bridge = bridge

    async def terminate_backend(self) -> None:
        """The bridge's session is ended by an administrator."""
        await trio.to_thread.run_sync(self._terminate_backend)

    def _terminate_backend(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'trio_bridge %'"
                )
        except psycopg.OperationalError:
            # The server is just coming back from another fault: its sessions are gone anyway.
            return

    async def crash_postgres(self) -> None:
        """Immediate shutdown, recovery."""
        await trio.to_thread.run_sync(self._server.restart, "immediate")

    async def restart_live(self) -> None:
        """Grafana restarts: cache and connections gone."""
        await self._live.restart(self._random.uniform(0, 0.5))

    async def cut_live(self) -> None:
        """Grafana's TCP connections end, without a close frame."""
        self._live.faults.cut(reset=self._random.random() < 0.5)

    async def kill_bridge(self) -> None:
        """kill -9, and a new one."""
        assert self._bridge is not None
        self._bridge.kill()
        self._bridge.start()


async def run_chaos(
    plan: Plan, server: EmbeddedPostgres, dsn: str, directory: Path, *, role: str | None = None
) -> Report:
    """Run `plan` in the empty database at `dsn`; the bridge has the rights of `role`, None: a superuser's."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SCHEMA)
    install(dsn, parse_table(TABLE), routes=[TABLE], role=role)
    bridges_dsn = dsn if role is None else make_conninfo(dsn, user=role)
    if not plan.trigger:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"DROP TRIGGER trio_bridge_bell ON {TABLE}")
    sink = Sink()
    async with LiveServer(on_message=sink) as live:
        if not plan.process:
            route = RouteSettings(name=TABLE, table=TABLE, fields=FIELDS)
            async with running_bridge(settings_for(bridges_dsn, live, route)) as service:
                report = await _drive(plan, server, dsn, live, sink, flip=service.routes[0].flip_mode)
            statistics = service.routes[0].ledger.statistics()
            report.restarts = statistics.restarts
            assert statistics.pending == 0, statistics
            return report
        bridge = BridgeProcess(bridges_dsn, live, directory, table=TABLE, fields=",".join(FIELDS))
        bridge.start()
        try:
            report = await _drive(plan, server, dsn, live, sink, bridge=bridge)
            assert await bridge.terminate() == 0
        finally:
            if bridge.alive:
                bridge.kill()
        report.restarts = sum(record["event"] in ("route_failed", "route_crashed") for record in bridge.log())
        crashes = [record for record in bridge.log() if record["event"] == "route_crashed"]
        assert not crashes, crashes
        return report


async def _drive(
    plan: Plan,
    server: EmbeddedPostgres,
    dsn: str,
    live: LiveServer,
    sink: Sink,
    *,
    flip: Callable[[], None] | None = None,
    bridge: BridgeProcess | None = None,
) -> Report:
    chooser = random.Random(plan.seed)
    chaos = Chaos(plan, server, dsn, live, bridge)
    faults: Counter[str] = Counter()
    flips = 0
    usage = 0.0
    writers = [
        Writer(dsn, plan.seed * 1000 + number, bulk_rows=plan.bulk_rows, pause_s=0.02)
        for number in range(plan.writers)
    ]

    async def flip_all_the_time(flip: Callable[[], None]) -> None:
        nonlocal flips
        while True:
            await trio.sleep(chooser.uniform(0.05, 0.3))
            flip()
            flips += 1

    async def make_faults() -> None:
        while True:
            await trio.sleep(chooser.uniform(*plan.fault_every_s))
            name = chooser.choice(plan.faults)
            faults[name] += 1
            act: Callable[[], Awaitable[None]] = getattr(chaos, name)
            await act()

    async def watch_queue() -> None:
        nonlocal usage
        while True:
            await trio.sleep(0.5)
            usage = max(usage, await trio.to_thread.run_sync(queue_usage, dsn))

    for writer in writers:
        writer.start()
    with trio.move_on_after(plan.seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_queue)
            if flip is not None:
                nursery.start_soon(flip_all_the_time, flip)
            if plan.faults:
                nursery.start_soon(make_faults)
    for writer in writers:
        writer.stop()
    for writer in writers:
        await trio.to_thread.run_sync(writer.join)
        if writer.failure is not None:
            raise writer.failure
    # A fault may have been cut short by the end of the chaos.
    await trio.to_thread.run_sync(wait_accepting, dsn)
    quiet_at = time.monotonic()
    await wait_all_delivered(dsn, TABLE, sink, limit_s=60)
    with psycopg.connect(dsn) as connection:
        verdict = sink.compare(connection, TABLE)
    return Report(
        verdict=verdict,
        acts=sum((writer.acts for writer in writers), Counter()),
        flips=flips,
        faults=faults,
        settled_s=time.monotonic() - quiet_at,
        slowest_commit_s=max(writer.slowest_commit_s for writer in writers),
        queue_usage=usage,
    )


def queue_usage(dsn: str) -> float:
    """How full the cluster's notification queue is, 0 to 1; 0 while the server is away (it is empty after a crash)."""
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            row = connection.execute("SELECT pg_notification_queue_usage()").fetchone()
    except psycopg.OperationalError:
        return 0.0
    assert row is not None
    return float(row[0])


def wait_accepting(dsn: str) -> None:
    """Until the server lets us in, after whatever was done to it."""
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


async def wait_all_delivered(dsn: str, table: str, sink: Sink, *, limit_s: float) -> None:
    """Until as many different rows have arrived as `table` holds; returns at the limit too: the verdict tells."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table} WHERE txid IS NOT NULL").fetchone()
    assert row is not None
    with trio.move_on_after(limit_s):
        while sink.rows < row[0]:
            await trio.sleep(0.05)
        # Whatever would come twice comes now.
        await trio.sleep(1.0)
