"""The HTTP server: one listening socket, and hypercorn's Trio worker for each connection, in the service's nursery.

Owns the socket and every connection. Hostile clients cost at most `MAX_CONNECTIONS` sockets: one more is closed at
once, and one on which nothing could be sent for `IDLE_S` is cut, whatever it waits for. At its end listening
stops, event streams end by themselves, and what has not gone after `GOODBYE_S` is cut. Delivery never waits for any of
it.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import wrap_app
from structlog.typing import FilteringBoundLogger

from trio_bridge.config.listen import Listen
from trio_bridge.errors import ConfigError
from trio_bridge.one_failure import one_failure

MAX_CONNECTIONS: Final = 64
"""Enough for probes, scrapers and some people's browsers; few against the files that a process may open (1,024)."""

IDLE_S: Final = 5
"""Time for a request to come in, between two requests, and for a client to take something of its answer. Precedent:
hypercorn's own for the first two."""

GOODBYE_S: Final = 0.5
"""What an answer that is under way gets when the service ends. A guess: an answer takes milliseconds."""


def open_socket(listen: Listen) -> socket.socket:
    """A socket that listens at `listen`.

    Raises:
        ConfigError: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((listen.host, listen.port))
        sock.listen(MAX_CONNECTIONS)
    except OSError as error:
        sock.close()
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            reason = "in use, by another bridge on this machine?"
        raise ConfigError(
            f"cannot serve the status at {listen.host}:{listen.port}: {reason} Give http.listen "
            '(TRIO_BRIDGE_HTTP_LISTEN) another port, or "off"'
        ) from None
    sock.setblocking(False)
    return sock


async def serve(
    app: ASGIFramework,
    sock: socket.socket,
    *,
    closing: trio.Event,
    log: FilteringBoundLogger,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` until `closing` is set and what is under way has ended. *Owns* `sock`.

    Args:
        app: an ASGI application.
        sock: from `open_socket`.
        closing: ends it.
        log: one line says where.
        task_status: started with the URL once a connection would be accepted.
    """
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    worker = _Worker(app, log)
    host, port = sock.getsockname()[:2]
    url = Listen(host, port).url
    async with trio.open_nursery() as connections:
        try:
            async with listener, trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(trio.serve_listeners, worker.serve, [listener], handler_nursery=connections)
                )
                log.info("serving_status", url=url)
                task_status.started(url)
                await closing.wait()
                accepting.cancel_scope.cancel()
            with trio.move_on_after(GOODBYE_S):
                await worker.wait_gone()
        finally:
            worker.cut()


class _Worker:
    """Serves connections as hypercorn's Trio worker does, but at most `MAX_CONNECTIONS`, and harms nobody else."""

    def __init__(self, app: ASGIFramework, log: FilteringBoundLogger) -> None:
        self._log = log
        self._config = Config()
        self._config.keep_alive_timeout = IDLE_S
        self._config.include_server_header = False
        # A logger of our own, not one of the process' tree: nobody else configures it.
        self._config.errorlog = logging.Logger("trio_bridge.web")  # noqa: LOG001
        self._config.errorlog.addHandler(_ToOurLog(log))
        self._app = wrap_app(app, self._config.wsgi_max_body_size, "asgi")
        self._context = WorkerContext(None)
        self._clients: set[_Client] = set()
        self._gone = trio.lowlevel.ParkingLot()

    async def serve(self, connection: trio.SocketStream) -> None:
        client = _Client(connection)
        if len(self._clients) >= MAX_CONNECTIONS:
            client.cut()
            return
        self._clients.add(client)
        try:
            async with trio.open_nursery() as nursery:
                client.on_cut = nursery.cancel_scope.cancel
                nursery.start_soon(client.cut_when_idle)
                # It asks no more of a stream than `_Client` has.
                stream = cast("Any", client)
                await TCPServer(self._app, self._config, self._context, ConnectionState({}), stream).run()
                nursery.cancel_scope.cancel()
        # Whatever a client makes hypercorn do, the service goes on.
        except BaseExceptionGroup as group:
            others, failures = group.split(lambda error: not isinstance(error, Exception))
            if failures is not None:
                failure = one_failure(failures)
                self._log.warning("status_request_failed", reason=f"{type(failure).__name__}: {failure}")
            if others is not None:
                raise others from None
        finally:
            client.cut()
            self._clients.discard(client)
            self._gone.unpark_all()

    async def wait_gone(self) -> None:
        """Until every connection has ended; those that only idle do so at once."""
        await self._context.terminated.set()
        while self._clients:
            await self._gone.park()

    def cut(self) -> None:
        """End every connection now."""
        for client in self._clients:
            client.cut()


class _Client:
    """A connection that ends when nothing could be sent on it for `IDLE_S`.

    A request that does not end, a pause between two, an answer that nobody reads: it is all the same to us. hypercorn
    has limits for some of these only, and shields what it sends from cancellation, so that a client that does not read
    could keep the service from ending.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._sent_at = trio.current_time()
        self.socket = stream.socket
        self.on_cut: Callable[[], None] | None = None

    async def cut_when_idle(self) -> None:
        while (idle_at := self._sent_at + IDLE_S) > trio.current_time():  # noqa: ASYNC110  (`send_all` is no event)
            await trio.sleep_until(idle_at)
        self.cut()

    async def send_all(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            # Of what it had asked for in advance nothing is wanted any more.
            self.cut()
            raise
        self._sent_at = trio.current_time()

    async def receive_some(self, max_bytes: int) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def cut(self) -> None:
        self.socket.close()
        if self.on_cut is not None:
            # With requests in hand hypercorn would go on with them, or wait for ever for the end of one.
            self.on_cut()


class _ToOurLog(logging.Handler):
    """hypercorn's complaints → one of our log lines."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.error("status_request_crashed", reason=record.getMessage(), exc_info=record.exc_info)
