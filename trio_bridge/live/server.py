"""The Live stand-in: one TCP port on loopback that behaves as Grafana Live's push side does.

It exists so that the bridge can be tested and shown without a Grafana: the same statuses, the same socket rules, the
same strict parser and the same frames, as seen on a Grafana 9.4 and read in its source. It shares no code with the
bridge's encoder or sender. Every processed message can be observed, and faults can be switched on while it runs.

Owns the listening socket, every connection and all channels. `serve` runs until cancelled, then closes all of them;
`restart` does the same as a restart of Grafana: plain end of stream, channels and cache lost, refused meanwhile, the
same port again. Keeps no log of messages unless told to.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Self

import trio

from trio_bridge.live.auth import Accounts, Role
from trio_bridge.live.channels import Channels
from trio_bridge.live.faults import Faults
from trio_bridge.live.frames import UnknownFormat
from trio_bridge.live.intake import Counters, Delivery, Intake
from trio_bridge.live.lines import BadLine
from trio_bridge.live.peer import Peer, Request
from trio_bridge.live.push import PushConnection
from trio_bridge.live.routes import serve_peer
from trio_bridge.live.shelf import Shelf
from trio_bridge.live.sockets import HandshakeRefused, Socket
from trio_bridge.live.subscribe import SubscriberConnection

# Grafana's limits (pushws): a message of 1 MiB, a ping every 25 s, a pong within 10/9 of that.
MESSAGE_LIMIT_BYTES = 1024 * 1024
PING_INTERVAL_S = 25.0
CUT_AFTER_S = 27.78


class _PushSink:
    """What a push socket's messages, pings and pongs do to the server."""

    def __init__(self, server: LiveServer, intake: Intake, stream_id: str, frame_format: str) -> None:
        self._server = server
        self._intake = intake
        self._stream_id = stream_id
        self._frame_format = frame_format

    def message(self, data: bytes, arrived_s: float) -> None:
        # Grafana logs the error and reads on: the sender never learns of it.
        with contextlib.suppress(BadLine, UnknownFormat):
            self._intake.take(data, arrived_s, self._stream_id, self._frame_format)

    def ping(self) -> None:
        self._server.counters.pings += 1

    def pong(self) -> None:
        self._server.counters.pongs += 1

    async def settle(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._server.channels.subscriptions:
            # The publication made the subscribers' writers runnable in the same turn of the scheduler as this task,
            # and the order within a turn is random: only after another turn has each of them tried to send.
            await trio.lowlevel.checkpoint()


class LiveServer:
    """A stand-in for Grafana Live; ``async with LiveServer() as live`` or ``await nursery.start(live.serve)``.

    Args:
        port: 0 takes a free one.
        password: of the Basic user ``admin``.
        on_message: called with each accepted message once it has been published.
        keep_log: whether `deliveries` grows.
        live_namespaced: whether channels are prefixed as from Grafana 12.4 on.
        ping_interval_s: between pings of the server, s.
        cut_after_s: without a pong for so long a push socket is cut, s.
        pages: content type and body by path.
        events: makes the lines of text served at ``/events`` for one visitor.
        now_ns: the clock for lines without a time, ns since 1970.

    Attributes:
        url: where it listens; known once it does.
        token: of an Admin.
        faults: what goes wrong on purpose.
        shelf: dashboards and data sources.
        accounts: who may do what.
        channels: what was published.
        counters: what has happened.
        deliveries: the accepted messages, if they are kept.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        password: str = "admin",  # noqa: S107 - Grafana's own default
        on_message: Callable[[Delivery], None] | None = None,
        keep_log: bool = False,
        live_namespaced: bool = False,
        ping_interval_s: float = PING_INTERVAL_S,
        cut_after_s: float = CUT_AFTER_S,
        pages: Mapping[str, tuple[str, bytes]] | None = None,
        events: Callable[[], AsyncIterator[str]] | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.url = ""
        self.port = port
        self.on_message = on_message
        self.live_namespaced = live_namespaced
        self.pages = {} if pages is None else pages
        self.events = events
        self.faults = Faults()
        self.shelf = Shelf()
        self.channels = Channels(time.monotonic)
        self.counters = Counters()
        self.deliveries: list[Delivery] = []
        self.accounts = Accounts(password)
        self.token = self.accounts.add_token(self.accounts.add_account("bridge", Role.ADMIN), "bridge")
        self._keep_log = keep_log
        self._ping_interval_s = ping_interval_s
        self._cut_after_s = cut_after_s
        self._now_ns = now_ns
        self._life = trio.CancelScope()
        self._down_s = 0.0
        self._listening = trio.Event()
        self._waiting = trio.lowlevel.ParkingLot()
        self._connections = 0
        self._exit = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._exit.enter_async_context(self._running())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        # The stack's exit is the nursery's: cancelled, it must end, not be shielded.
        return await self._exit.__aexit__(kind, error, traceback)  # noqa: ASYNC102

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.serve)
            yield
            nursery.cancel_scope.cancel()

    async def serve(self, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Listens and serves until cancelled; reports `url` once it listens."""
        listeners = await self._listen()
        task_status.started(self.url)
        while True:
            with trio.CancelScope() as self._life:
                self._listening.set()
                await trio.serve_listeners(self._connection, listeners)
            self.channels.clear()
            await trio.sleep(self._down_s)
            listeners = await self._listen()

    async def _listen(self) -> list[trio.SocketListener]:
        listeners = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return listeners

    async def restart(self, down_s: float = 0) -> None:
        """Restarts as Grafana does: every connection ends, channels and their caches are lost, the port stays.

        Args:
            down_s: connections are refused for so long, s.

        Returns after it accepts again.
        """
        self._down_s = down_s
        self._listening = trio.Event()
        self._life.cancel()
        await self._listening.wait()

    async def wait_messages(self, count: int) -> None:
        """Returns once `count` messages have been accepted since the server was made."""
        while self.counters.messages < count:
            await self._waiting.park()

    async def wait_connections(self, count: int) -> None:
        """Returns once `count` push sockets have been accepted since the server was made."""
        while self.counters.connections < count:
            await self._waiting.park()

    async def push_socket(
        self, peer: Peer, request: Request, intake: Intake, stream_id: str, frame_format: str
    ) -> None:
        """Upgrades the connection to a push socket and runs it."""
        socket = Socket(peer.stream, message_limit=MESSAGE_LIMIT_BYTES)
        connection = PushConnection(
            socket,
            self.faults,
            _PushSink(self, intake, stream_id, frame_format),
            ping_interval_s=self._ping_interval_s,
            cut_after_s=self._cut_after_s,
        )
        with self.faults.attached(socket):
            try:
                events = await socket.accept(request.raw)
            except HandshakeRefused:
                return
            self.counters.connections += 1
            self._waiting.unpark_all()
            await connection.run(events)

    async def subscriber_socket(self, peer: Peer, request: Request) -> None:
        """Upgrades the connection to a subscriber's socket and runs it."""
        socket = Socket(peer.stream, message_limit=MESSAGE_LIMIT_BYTES)
        try:
            events = await socket.accept(request.raw)
        except HandshakeRefused:
            return
        prefixes = ("default/", "1/") if self.live_namespaced else ("1/",)
        connection = SubscriberConnection(
            socket, self.channels, prefixes=prefixes, ping_interval_s=self._ping_interval_s
        )
        await connection.run(events)

    async def _connection(self, stream: trio.SocketStream) -> None:
        self._connections += 1
        intake = Intake(
            self._connections, self.channels, self.counters, now_ns=self._now_ns, observe=self._observe
        )
        try:
            await serve_peer(self, Peer(stream), intake)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # The peer is gone, or a fault has cut it off.
            return
        finally:
            # Unread data would turn the close into a reset; the end of our side goes out first.
            with contextlib.suppress(OSError):
                stream.socket.shutdown(trio.socket.SHUT_WR)

    def _observe(self, delivery: Delivery) -> None:
        if self._keep_log:
            self.deliveries.append(delivery)
        if self.on_message is not None:
            self.on_message(delivery)
        self._waiting.unpark_all()
