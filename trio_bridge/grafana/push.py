"""One open push socket to Grafana: settings in, a connection or one error with its own sentence out.

The steps are taken apart, each under its own deadline, so that each failure has its own name: TCP (the host's
name is resolved anew each time), TLS, upgrade. Plain ``http`` is never tried where ``https`` is asked for, no
redirect is followed, no Origin is sent.

`open_push` owns the TCP connection, the library's reader task and the nursery it runs in. Left in good order
it closes politely within 2 s; left by an error or a cancellation it cuts the TCP connection at once. After a
send that did not finish a connection is never used again, because half a frame is on the wire. Nothing of the
library or the socket escapes: all of it becomes `SinkError`. No secret is in an error, its cause or its
context.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, cast

import trio
from trio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketConnection,
    wrap_client_stream,
)
from wsproto.utilities import ProtocolError

from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import SinkError
from trio_bridge.grafana.address import PushAddress
from trio_bridge.grafana.credentials import authorization, secret_parts
from trio_bridge.grafana.refusal import closed_socket, refused_upgrade
from trio_bridge.grafana.stream import Dial, PushStream, Wire, dial_tcp
from trio_bridge.grafana.tls import start_tls, tls_context
from trio_bridge.grafana.unreachable import unreachable
from trio_bridge.one_failure import one_failure
from trio_bridge.secret import Secret

# A dead Grafana must not hold up a restart; the library alone would wait 60 s for the answer to our close
# frame.
CLOSE_TIMEOUT_S: Final = 2.0

# Guess. Grafana sends no messages on this socket, so nobody needs what comes; the library alone would collect
# 1 MiB.
MAX_INBOUND_BYTES: Final = 65_536


class PushConnection:
    """Writes messages and pings to one push socket; made by `open_push`."""

    def __init__(
        self, socket: WebSocketConnection, stream: PushStream, peer: str, credentials: Secret
    ) -> None:
        self._socket = socket
        self._stream = stream
        self._credentials = credentials
        self.peer = peer

    async def send(self, data: bytes) -> None:
        """Write `data` as one binary message (Grafana treats text and binary alike).

        Raises:
            SinkError: the connection is at its end.
        """
        with self._errors():
            await self._socket.send_message(data)

    async def ping(self, payload: bytes) -> None:
        """Write a ping and wait until it, or a later one, is answered.

        Waits for ever if the connection dies: to be run beside `receive`, which notices.

        Args:
            payload: unique in this connection, at most 125 bytes.

        Raises:
            SinkError: the connection is at its end.
        """
        with self._errors():
            await self._socket.ping(payload)

    async def pong(self) -> None:
        """Write a pong that nobody asked for; Grafana cuts a connection on which it sees none for 27.8 s.

        Raises:
            SinkError: the connection is at its end.
        """
        with self._errors():
            await self._socket.pong()

    async def receive(self) -> str | bytes:
        """The next message from the other side; pings are only answered while somebody waits here.

        Raises:
            SinkError: the connection is at its end.
        """
        # Cancelled, it leaves nothing behind on the wire: the socket can still be closed politely.
        with self._errors(tears=False):
            return await self._socket.get_message()

    def abort(self) -> None:
        """Cut the connection now: nothing more is sent, whoever waits on it gets an error."""
        self._stream.abort()

    def ended(self, code: int, reason: str | None) -> SinkError:
        """The error for an end of this connection with a close `code`."""
        return closed_socket(code, reason, peer=self.peer, secrets=secret_parts(self._credentials))

    async def close(self) -> None:
        """Say goodbye, wait `CLOSE_TIMEOUT_S` for the answer; what goes wrong in it does not matter any more."""
        with trio.move_on_after(CLOSE_TIMEOUT_S):
            try:
                await self._socket.aclose()
            except (ConnectionClosed, ProtocolError):
                self.abort()

    @contextmanager
    def _errors(self, *, tears: bool = True) -> Iterator[None]:
        """Map what the library raises; what is cancelled and `tears` a frame cuts the connection."""
        reason: CloseReason | None = None
        try:
            yield
        except ConnectionClosed as closed:
            reason = closed.reason
        except ProtocolError:
            # The library was about to close, but had not said so yet.
            reason = self._socket.closed
        except BaseException:
            # Cancelled, perhaps in the middle of a frame.
            if tears:
                self.abort()
            raise
        else:
            return
        code, text = (reason.code, reason.reason) if reason else (1006, None)
        raise self.ended(code, text)


@asynccontextmanager
async def open_push(
    settings: GrafanaSettings,
    stream: str,
    *,
    dial: Dial = dial_tcp,
    wall_clock: Callable[[], float] = time.time,
) -> AsyncIterator[PushConnection]:
    """A push socket for the Live stream `stream`, open while the block runs.

    Args:
        settings: where Grafana is, whose certificates it may show, the credentials and the deadlines.
        stream: Grafana's stream id.
        dial: opens the connection below.
        wall_clock: seconds since 1970, for a Retry-After that is a date.

    Raises:
        ConfigError: the URL, the credentials or a file of certificates cannot be used.
        CredentialsRefused: Grafana does not accept them.
        SinkError: anything else that keeps the socket from opening, or ends it.
    """
    address = PushAddress.parse(settings.url, stream)
    credentials = await authorization(settings)
    timeout_s = settings.connect_timeout_s
    wire = await _connect(settings, address, dial)
    connection: PushConnection | None = None
    failure: BaseException | None = None
    broken: BaseException | None = None
    try:
        # The library's reader gets a nursery of its own: what ends the reader ends this nursery and nobody
        # else's, and never passes for what ended the block.
        async with trio.open_nursery() as nursery:
            socket = await _upgrade(nursery, wire, address, credentials, timeout_s)
            if socket is not None:
                connection = PushConnection(socket, wire, address.peer, credentials)
                try:
                    yield connection
                except BaseException as error:
                    failure = error
                    connection.abort()
                    raise
                await connection.close()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        broken = one_failure(group)
    finally:
        wire.abort()
    if failure is not None and not isinstance(failure, trio.Cancelled):
        raise failure
    if broken is not None and not isinstance(broken, Exception):
        raise broken
    if connection is None:
        raise refused_upgrade(
            bytes(wire.received),
            peer=address.peer,
            path=address.path,
            closed=wire.ended,
            timeout_s=timeout_s,
            wall_now=wall_clock(),
            secrets=secret_parts(credentials),
        )
    # A reader that fails while we say goodbye (a ping that crosses our close frame does that) has nothing to
    # tell.
    if failure is not None:
        raise connection.ended(1002, None)


async def _connect(settings: GrafanaSettings, address: PushAddress, dial: Dial) -> PushStream:
    """TCP, then TLS if the URL wants it; each has errors of its own."""
    context = tls_context(settings) if address.tls else None
    timeout_s = settings.connect_timeout_s
    below = await _open_wire(address, dial, timeout_s)
    if context is None:
        return PushStream(below.stream, below.cut)
    try:
        return PushStream(await start_tls(below.stream, context, address, timeout_s), below.cut)
    except BaseException:
        below.cut()
        raise


async def _open_wire(address: PushAddress, dial: Dial, timeout_s: float) -> Wire:
    failure = SinkError(
        f"{address.peer} took no TCP connection within {timeout_s:g} s (name resolution included): "
        "is grafana.url right, does a firewall drop packets?"
    )
    with trio.move_on_after(timeout_s):
        try:
            return await dial(address.host, address.port)
        except OSError as error:
            failure = unreachable(error, address.peer)
    raise failure


async def _upgrade(
    nursery: trio.Nursery, wire: PushStream, address: PushAddress, credentials: Secret, timeout_s: float
) -> WebSocketConnection | None:
    """The open socket; None if the other side closed or fell silent instead of answering."""
    with trio.move_on_after(timeout_s) as step:
        wire.on_end = step.cancel
        socket = await wrap_client_stream(
            nursery,
            # The library takes any `trio.abc.Stream`, as its documentation says; its annotation is narrower.
            cast("trio.SocketStream", wire),
            address.host_header,
            address.path,
            extra_headers=[(b"Authorization", credentials.reveal().encode())],
            max_message_size=MAX_INBOUND_BYTES,
        )
        wire.opened()
        return socket
    return None
