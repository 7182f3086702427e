"""A server-side WebSocket on a Trio stream, through the sans-I/O protocol of the ``websockets`` library.

Deliberately not the library that the sender uses, so that two implementations of RFC 6455 meet. Like gorilla/websocket
in Grafana it ignores extensions and subprotocols, answers a close frame, and fails a message above its limit with 1009.
Unlike the library's default it does not answer a ping by itself: the reader meets the ping in its place among the
messages, because Grafana's pong comes after all that was sent before the ping.

Owns nothing: the stream is opened and closed by the server. Ends with `closed` True. A write that is cut short leaves
half a frame, so it always ends the connection.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

import trio
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

# gorilla/websocket and centrifuge both give a frame one second to be written, then give the peer up.
_WRITE_LIMIT_S = 1.0
# struct linger: on, 0 s; close() then sends RST.
_LINGER_RESET = struct.pack("ii", 1, 0)


class HandshakeRefused(Exception):
    """The request was no WebSocket handshake; the refusal has been sent."""


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message, text or binary alike."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """A ping that waits for `Socket.send_pong`."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """A pong, asked for or not."""

    payload: bytes


class _Protocol(ServerProtocol):
    """Hands pings to the reader instead of answering them while it parses."""

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self.events.append(frame)
        else:
            super().recv_frame(frame)


class Socket:
    """One connection; one task reads, any task writes.

    Attributes:
        closed: nothing more will come in, and what goes out goes nowhere.
        is_cut: we ended it without a word; what had come in before does not count either.
    """

    def __init__(self, stream: trio.SocketStream, *, message_limit: int) -> None:
        self._stream = stream
        self._protocol = _Protocol(max_size=message_limit)
        self._writing = trio.Lock()
        self._fragments: list[bytes] = []
        self.closed = False
        self.is_cut = False

    async def accept(self, request: bytes) -> list[Message | Ping | Pong]:
        """Answers the handshake that `request` starts with and returns the events behind it.

        Raises:
            HandshakeRefused: `request` is no WebSocket handshake.
        """
        self._protocol.receive_data(request)
        events = self._protocol.events_received()
        for handshake in events[:1]:
            assert isinstance(handshake, Request)
            self._protocol.send_response(self._protocol.accept(handshake))
        await self._flush()
        if self._protocol.state is not State.OPEN:
            raise HandshakeRefused
        return await self._digested(events[1:])

    async def receive(self, max_bytes: int) -> list[Message | Ping | Pong]:
        """The next events, in their order; an empty list if no frame is whole yet or the connection is closed."""
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.closed = True
            return []
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        return await self._digested(self._protocol.events_received())

    async def send_text(self, data: bytes) -> None:
        """Sends a text message; `data` is not checked to be UTF-8, as in Grafana."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(data)
            await self._flush()

    async def send_ping(self, payload: bytes) -> None:
        """Sends a ping."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(payload)
            await self._flush()

    async def send_pong(self, payload: bytes) -> None:
        """Sends a pong."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_pong(payload)
            await self._flush()

    async def send_raw(self, data: bytes) -> None:
        """Writes bytes past the protocol."""
        await self._write([data])

    async def close(self, code: int, reason: str = "") -> None:
        """Sends a close frame with any `code`, also one that the library would not send, and ends the connection."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_frame(Frame(Opcode.CLOSE, struct.pack("!H", code) + reason.encode()))
            await self._flush()
        self.cut()

    def cut(self, *, reset: bool = False) -> None:
        """Ends the TCP connection without a close frame: by FIN, or by RST if `reset`."""
        self.closed = self.is_cut = True
        if reset:
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self._stream.socket.close()

    async def _digested(self, events: list[Event]) -> list[Message | Ping | Pong]:
        """Frames as events; sends what the protocol says by itself (the answer to a close frame, 1009, ...)."""
        digested: list[Message | Ping | Pong] = []
        for frame in events:
            assert isinstance(frame, Frame)
            if frame.opcode is Opcode.PING:
                digested.append(Ping(bytes(frame.data)))
            elif frame.opcode is Opcode.PONG:
                digested.append(Pong(bytes(frame.data)))
            elif frame.opcode is not Opcode.CLOSE:
                self._fragments.append(bytes(frame.data))
                if frame.fin:
                    digested.append(Message(b"".join(self._fragments)))
                    self._fragments.clear()
        if self._protocol.state is not State.OPEN:
            await self._flush()
            self.closed = True
        return digested

    async def _flush(self) -> None:
        await self._write(self._protocol.data_to_send())

    async def _write(self, chunks: list[bytes]) -> None:
        """Writes whole chunks, in the order of the calls; an empty one is the end of our side."""
        async with self._writing:
            with trio.move_on_after(_WRITE_LIMIT_S):
                try:
                    for chunk in chunks:
                        await (self._stream.send_all(chunk) if chunk else self._stream.send_eof())
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self.closed = True
                return
        self.cut()
