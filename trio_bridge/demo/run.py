"""The demo in one process: writers → Postgres → the bridge → Live, with a page to watch, and a verdict.

The composition root of the demo. What runs between Postgres and Live is the very service that a user runs,
with settings as a user writes them; around it stand an embedded PostgreSQL (or the operator's), the Live
stand-in (or the operator's Grafana), the writers, and books of the demo's own (`trio_bridge.demo.audit`).

The end, after `seconds` or at the first SIGINT or SIGTERM: the writers stop, what they committed is waited
for within a limit, the service stops gracefully, and the table is compared with what was published. A second
signal ends at once. Everything that was started here ends here.
"""

from __future__ import annotations

import math
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import trio
from msgspec import structs
from rich.console import Console

from trio_bridge.config.settings import (
    GrafanaSettings,
    HttpSettings,
    PostgresSettings,
    RouteSettings,
    ServiceSettings,
    Settings,
)
from trio_bridge.demo.audit import Audit
from trio_bridge.demo.chaos import Chaos
from trio_bridge.demo.database import ROUTE, Database, open_database
from trio_bridge.demo.observer import Observer
from trio_bridge.demo.pages import load_pages
from trio_bridge.demo.schedule import MAX_SENSORS, Row, Schedule
from trio_bridge.demo.summary import Summary
from trio_bridge.demo.terminal import show
from trio_bridge.demo.writer import Writer
from trio_bridge.errors import BridgeError, ConfigError
from trio_bridge.live.auth import Role
from trio_bridge.live.intake import Delivery
from trio_bridge.live.keyframes import DeltaFilter
from trio_bridge.live.lines import Point
from trio_bridge.live.server import LiveServer
from trio_bridge.logs import to_stderr
from trio_bridge.one_failure import one_failure
from trio_bridge.postgres.plan import DEMO_TABLE
from trio_bridge.secret import Secret
from trio_bridge.service import Service, run_service

# How long the last rows may take: a route that waits for its next attempt, and a backlog behind it. Guess.
DRAIN_S = 30.0

# Whoever reloads the page waits for the next keyframe: less than a second is soon enough for a demonstration.
KEYFRAME_INTERVAL_S = 0.5

_STREAM = "pg"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What to show.

    Attributes:
        rate: rows per second, of all writers together.
        writers: connections that write.
        sensors: how many take turns in the rows; the last of several appears after some seconds.
        seconds: how long; None: until a signal.
        chaos: whether things are broken on purpose.
        seed: of the chaos; None: a random one, which is printed.
        port: of the page and the Live stand-in; 0: a free one.
        postgres: the operator's own server, with the role that owns the table; None: an embedded one.
        grafana: the operator's own Grafana; None: the Live stand-in, with the page.
    """

    rate: int = 200
    writers: int = 2
    sensors: int = 4
    seconds: float | None = None
    chaos: bool = False
    seed: int | None = None
    port: int = 3000
    postgres: PostgresSettings | None = None
    grafana: GrafanaSettings | None = None


async def run_demo(options: DemoOptions, console: Console | None = None) -> int:
    """Shows the demo.

    Args:
        options: what to show.
        console: where the table and the summary go; default standard output.

    Returns:
        The exit code: 0 only if every committed row was delivered and acknowledged.

    Raises:
        BridgeError: something could not be started; the message says what to do.
    """
    if not (options.writers >= 1 and 1 <= options.rate <= 100_000):
        raise ConfigError("the demo writes 1 to 100000 rows/s with at least one writer")
    if not 1 <= options.sensors <= MAX_SENSORS:
        raise ConfigError(f"the demo has 1 to {MAX_SENSORS} sensors")
    console = console or Console()
    try:
        with _log_beside(console):
            summary = await _Demo(options, console).run()
    except BaseExceptionGroup as group:
        failure = one_failure(group)
        if isinstance(failure, BridgeError):
            raise failure from None
        raise
    if summary is None:
        return 1
    for line in summary.lines():
        console.print(line, highlight=False, soft_wrap=True)
    return summary.exit_code


class _Demo:
    """One run."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self._options = options
        self._console = console
        self._end = trio.Event()
        self._new = DeltaFilter()
        self._live: LiveServer | None = None
        if options.grafana is None:
            self._live = LiveServer(options.port, pages=load_pages(), on_message=self._arrived)
            # The page's visitor has no account.
            self._live.accounts.anonymous = Role.VIEWER
        self._observer = Observer(self._live, target_rate=options.rate, writers=options.writers)
        if self._live is not None:
            self._live.events = self._observer.events

    async def run(self) -> Summary | None:
        """Everything from the first to the last; None: a second signal ended it."""
        summary = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wait_signals, nursery.cancel_scope)
            page = await self._start_live(nursery)
            nursery.start_soon(self._observer.sample)
            nursery.start_soon(partial(show, lambda: self._observer.moment, page=page, console=self._console))
            async with open_database(self._options.postgres) as database:
                self._observer.database = database
                summary = await self._deliver(database)
            nursery.cancel_scope.cancel()
        return summary

    async def _wait_signals(self, scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if self._end.is_set():
                    scope.cancel()
                self._end.set()

    async def _start_live(self, nursery: trio.Nursery) -> str:
        """Starts the stand-in, if it is ours; the address to look at."""
        if self._live is None:
            assert self._options.grafana is not None
            return self._options.grafana.url
        try:
            url: str = await nursery.start(self._live.serve)
        except OSError as failure:
            where = f"port {self._options.port} on 127.0.0.1"
            raise ConfigError(f"{where}: {failure.strerror}: choose another, or 0 for a free one") from None
        return f"{url}/"

    async def _deliver(self, database: Database) -> Summary:
        """From the start of the service to its end."""
        observer = self._observer
        async with trio.open_nursery() as nursery:
            service: Service = await nursery.start(run_service, self._settings(database))
            observer.service = service
            schedule = Schedule(time.time_ns() // 1_000, self._options.rate, self._options.sensors)
            observer.audit = audit = Audit(schedule)
            await self._write(database, schedule, audit)
            times_us = await trio.to_thread.run_sync(database.times_us, schedule)
            with trio.move_on_after(DRAIN_S):
                await _wait_acknowledged(database, schedule)
            service.stop.set()
        unacknowledged = await trio.to_thread.run_sync(database.unacknowledged, schedule)
        observer.entered("done")
        return Summary(
            moment=observer.look(),
            verdict=None if self._live is None else audit.verdict(times_us),
            in_table=len(times_us),
            unacknowledged=unacknowledged,
            balanced=all(route.ledger.statistics().balanced for route in service.routes),
            latency_p50_ms=_milliseconds(audit.latency.overall(0.5)),
            latency_p99_ms=_milliseconds(audit.latency.overall(0.99)),
        )

    async def _write(self, database: Database, schedule: Schedule, audit: Audit) -> None:
        """Writes, and breaks things, for as long as the demo is to last."""
        options = self._options
        writer = Writer(database.connect, schedule, writers=options.writers, committed=audit.committed)
        self._observer.writer = writer
        self._observer.entered("running")
        async with trio.open_nursery() as work:
            work.start_soon(writer.run)
            # What is being broken is mended before the writers stop.
            async with trio.open_nursery() as faults:
                if options.chaos:
                    self._observer.chaos = chaos = self._make_chaos(database)
                    faults.start_soon(chaos.run)
                with trio.move_on_after(math.inf if options.seconds is None else options.seconds):
                    await self._end.wait()
                faults.cancel_scope.cancel()
            self._observer.entered("draining")
            writer.stop()

    def _make_chaos(self, database: Database) -> Chaos:
        seed = random.randrange(10_000) if self._options.seed is None else self._options.seed
        self._console.print(f"chaos: seed {seed}", highlight=False)
        started_at = time.monotonic()

        def announce(act: str) -> None:
            self._console.print(f"chaos: {time.monotonic() - started_at:6.1f} s  {act}", highlight=False)

        return Chaos(seed, database, self._live, announce)

    def _arrived(self, delivery: Delivery) -> None:
        audit = self._observer.audit
        if audit is not None and delivery.stream_id == _STREAM:
            rows = [
                row
                for point in self._new(delivery)
                if point.measurement == DEMO_TABLE.name
                for row in _rows(point, audit.schedule)
            ]
            audit.arrived(rows, time.monotonic())

    def _settings(self, database: Database) -> Settings:
        """What a user would write."""
        route = RouteSettings(
            name=ROUTE,
            table=str(DEMO_TABLE),
            stream=_STREAM,
            fields=("value",),
            keyframe_interval_s=KEYFRAME_INTERVAL_S,
        )
        if self._options.sensors > 1:
            route = structs.replace(route, series="sensor")
        grafana = self._options.grafana
        if self._live is not None:
            grafana = GrafanaSettings(url=self._live.url, token=Secret(self._live.token))
        assert grafana is not None
        return Settings(
            postgres=database.bridge,
            grafana=grafana,
            route=(route,),
            # Nobody watches a demo wait for half a minute.
            service=ServiceSettings(restart_max_s=2.0, drain_timeout_s=10.0),
            # The demo has a page of its own, and may run beside a service.
            http=HttpSettings(listen="off"),
        )


def _rows(point: Point, schedule: Schedule) -> list[Row]:
    """The row that a point says it is; several, if it has values of several sensors, which is wrong.

    With several sensors a field has the sensor's name, and those that are null for the sake of the schema say
    nothing; a single sensor's field is the column's.
    """
    only = schedule.row(0).sensor if schedule.sensors == 1 else None
    return [
        Row(point.time_ns // 1_000, float(value), only or name)
        for name, value in point.fields.items()
        if value != "NaN"
    ]


async def _wait_acknowledged(database: Database, schedule: Schedule) -> None:
    """Until the checkpoint covers every row; the bridge writes it once a second, and rings no bell for it."""
    while await trio.to_thread.run_sync(database.unacknowledged, schedule):  # noqa: ASYNC110
        await trio.sleep(0.1)


@contextmanager
def _log_beside(console: Console) -> Iterator[None]:
    """The service's log: to standard error, or to a file where it would run through the terminal's table."""
    if not console.is_terminal:
        with to_stderr(ServiceSettings(log_format="console")):
            yield
        return
    with tempfile.NamedTemporaryFile(prefix="trio-bridge-demo-", suffix=".log", delete=False) as log:
        console.print(f"log: {log.name}", highlight=False)
        with to_stderr(ServiceSettings(log_format="console"), fd=log.fileno()):
            yield


def _milliseconds(duration_s: float | None) -> float | None:
    return None if duration_s is None else duration_s * 1000
