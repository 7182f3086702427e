"""One replica of the bridge: the real service, in a process that can be killed, frozen and stopped by a signal.

A replica has many lives, as under a supervisor that starts it again; in each it is `run_service`, unchanged, between
the two models. *Owns* the task of its present life. Each run of its route has a `Run` to its name: its session's pid in
Postgres and its socket's owner in Grafana are told apart by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import structlog
import trio

from tests.simulation.clock import Clock
from tests.simulation.live import End, LiveModel
from tests.simulation.postgres import ModelServer
from tests.simulation.thread import Freezer, Thread, current_thread
from trio_bridge.config.settings import Settings
from trio_bridge.errors import ConfigError
from trio_bridge.grafana.stream import Wire
from trio_bridge.handover import Wake
from trio_bridge.outside import Outside
from trio_bridge.postgres.session import Session
from trio_bridge.route import Route
from trio_bridge.service import Service, run_service


class Run(NamedTuple):
    """One run of a route: of which replica, in which of its lives, the how manieth there."""

    replica: int
    life: int
    run: int

    def __str__(self) -> str:
        return f"{self.replica}.{self.life}.{self.run}"


class StillStream(trio.abc.Stream):
    """A stream that says and hears nothing while its process is frozen."""

    def __init__(self, end: End, freezer: Freezer) -> None:
        self._end = end
        self._freezer = freezer

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        await self._freezer.wait_thawed()
        await self._end.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._end.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        data = await self._end.receive_some(max_bytes)
        await self._freezer.wait_thawed()
        return data

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await self._end.aclose()


class Bridge:
    """See the module.

    Args:
        number: of this replica.
        settings: the same for all.
        server: Postgres.
        live: Grafana.
        clock: of the schedule.
        latency: of the way to Postgres.

    Attributes:
        number: of this replica.
        sessions: which run each session of Postgres belongs to, by pid.
        freezer: stops it where it stands.
        service: of the present life; None: it has not started yet.
        lives: so far.
        undrained: rows that a stop by signal left behind.
        on_drained: told the last run of a life that ended well.
        gave_up: how often it ended by itself, with a sentence for the operator.
    """

    def __init__(
        self,
        number: int,
        settings: Settings,
        server: ModelServer,
        live: LiveModel,
        *,
        clock: Clock,
        latency: Callable[[], float],
    ) -> None:
        self.sessions: dict[int, Run] = {}
        self.freezer = Freezer()
        self.service: Service | None = None
        self.lives = 0
        self.undrained = 0
        self.on_drained: Callable[[Run], None] = lambda _: None
        self.gave_up = 0
        self._mode_changes = 0
        self.number = number
        self._settings = settings
        self._server = server
        self._live = live
        self._clock = clock
        self._latency = latency
        self._run = Run(number, 0, 0)
        self._life: trio.CancelScope | None = None
        self._ended = trio.Event()

    @property
    def alive(self) -> bool:
        """Whether a process of it runs."""
        return self.service is not None

    @property
    def route(self) -> Route | None:
        """Of the present life."""
        return None if self.service is None else self.service.routes[0]

    @property
    def mode_changes(self) -> int:
        """In all its lives."""
        return self._mode_changes + (0 if self.route is None else self.route.status.mode_changes)

    async def run(self, restart_s: Callable[[], float]) -> None:
        """Life after life, `restart_s` apart; until cancelled."""
        structlog.contextvars.bind_contextvars(replica=self.number)
        outside = Outside(open_session=self._open_session, run_source=self._run_source, dial=self._dial)
        while True:
            self.lives += 1
            self._run = Run(self.number, self.lives, 0)
            self._ended = trio.Event()
            with trio.CancelScope() as self._life:
                try:
                    async with trio.open_nursery() as nursery:
                        self.service = await nursery.start(self._serve, outside)
                except* ConfigError:
                    self.gave_up += 1
            self._mode_changes = self.mode_changes
            self.service = None
            self._life = None
            self._ended.set()
            await trio.sleep(restart_s())

    async def _serve(self, outside: Outside, task_status: trio.TaskStatus[Service]) -> None:
        left = await run_service(self._settings, outside=outside, task_status=task_status)
        self.undrained += left
        if not left and self.route is not None and not self.route.failure:
            self.on_drained(self._run)

    def kill(self) -> None:
        """SIGKILL: the kernel closes its sockets; nothing else of it happens any more."""
        if self._life is not None:
            self._life.cancel()
        self.freezer.thaw()

    def terminate(self) -> trio.Event:
        """SIGTERM; the event is the end of the present life."""
        if self.service is not None:
            self.service.stop.set()
        return self._ended

    async def _run_source(self, work: Callable[[], None]) -> None:
        self._run = self._run._replace(run=self._run.run + 1)
        await Thread(work, self._clock, self.freezer, self._latency).run()

    def _open_session(self, conninfo: str, wake: Wake, *, timeout_s: float) -> Session:
        thread = current_thread()
        thread.woken_by(wake)
        session = self._server.connect(conninfo, wake, timeout_s=timeout_s, caller=thread)
        self.sessions[session.backend_pid] = self._run
        # It has all of a session's methods that a source uses, and nothing of libpq.
        return cast("Session", session)

    async def _dial(self, _host: str, _port: int) -> Wire:
        await self.freezer.wait_thawed()
        end = await self._live.dial(self._run)
        return Wire(StillStream(end, self.freezer), lambda: end.close_now(reset=True))
