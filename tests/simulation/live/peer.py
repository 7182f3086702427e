"""The server's side of one push socket: an `End` and the sans-I/O protocol of the ``websockets`` library.

Another implementation of RFC 6455 than the sender's. It hands pings over in their place among the messages instead of
answering them while it reads, because that is what the bridge relies on: Grafana answers a ping after all that came
before it. What it says never waits: a frame for which the client has left no room is lost, as gorilla/websocket gives
up a pong that it cannot write. Owns its end.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

import trio
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from tests.simulation.live.wire import End


class Came(NamedTuple):
    """A whole message, ping or pong."""

    kind: Opcode
    data: bytes


class _Protocol(ServerProtocol):
    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self.events.append(frame)
        else:
            super().recv_frame(frame)


class Peer:
    """See the module.

    Attributes:
        closed: nothing more comes in.
        is_cut: we ended it; what had come in does not count either.
    """

    def __init__(self, end: End, *, message_limit: int) -> None:
        self._end = end
        self._protocol = _Protocol(max_size=message_limit)
        self._parts: list[bytes] = []
        self.closed = False
        self.is_cut = False

    async def accept(self) -> list[Came] | None:
        """Answer the handshake; what came behind it, or None if none came."""
        protocol = self._protocol
        while not self.closed and protocol.state is State.CONNECTING:
            await self._read(lambda: 65_536)
            events = protocol.events_received()
            if events and isinstance(events[0], Request):
                protocol.send_response(protocol.accept(events[0]))
                self._say(0.0)
                return self._sorted(events[1:])
        self.cut()
        return None

    async def refuse(self, answer: bytes) -> None:
        """Read the request, write `answer` past the protocol, close."""
        request = b""
        while b"\r\n\r\n" not in request:
            try:
                data = await self._end.receive_some()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                break
            request += data
        self._end.say(answer)
        self.cut()

    async def receive(self, most: Callable[[], int]) -> list[Came]:
        """What comes next, in its order; empty if no frame is whole yet or the connection is at its end.

        `most` bytes are read; asked when there are some.
        """
        await self._read(most)
        return self._sorted(self._protocol.events_received())

    def pong(self, payload: bytes, delay_s: float = 0.0) -> None:
        """Say a pong."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_pong(payload)
            self._say(delay_s)

    def ping(self, payload: bytes) -> None:
        """Say a ping."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(payload)
            self._say(0.0)

    def text(self, text: str) -> None:
        """Say a text message."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(text.encode())
            self._say(0.0)

    def close(self, code: int) -> None:
        """A close frame with any code, then FIN."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_frame(Frame(Opcode.CLOSE, struct.pack("!H", code)))
            self._say(0.0)
        self.cut()

    def cut(self, *, reset: bool = False) -> None:
        """FIN or RST."""
        self.closed = self.is_cut = True
        self._end.close_now(reset=reset)

    async def _read(self, most: Callable[[], int]) -> None:
        try:
            data = await self._end.receive_at_most(most)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
            self.closed = True

    def _sorted(self, events: list[Event]) -> list[Came]:
        came: list[Came] = []
        for frame in events:
            assert isinstance(frame, Frame)
            if frame.opcode in {Opcode.PING, Opcode.PONG}:
                came.append(Came(frame.opcode, bytes(frame.data)))
            elif frame.opcode is not Opcode.CLOSE:
                self._parts.append(bytes(frame.data))
                if frame.fin:
                    came.append(Came(Opcode.BINARY, b"".join(self._parts)))
                    self._parts.clear()
        if self._protocol.state is not State.OPEN:
            # Close frames are answered, messages above the limit with 1009.
            self._say(0.0)
            self.closed = True
        return came

    def _say(self, delay_s: float) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._end.say(data, delay_s)
