"""The byte stream below the WebSocket library: passes bytes on and sees what the library keeps to itself.

Until the socket is open it keeps what was received, so that a refusal can be named by what was said, and it
tells at once that the other side has closed, where the library would wait on for an answer. It can cut the
connection from outside, without waiting. It owns the connection below: `abort` (or `aclose`) ends it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

# Guess. No refusal of Grafana's has a page as long as this; who sends more is not Grafana, and is cut.
ANSWER_LIMIT_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Wire:
    """A connection to Grafana's port, and how to cut it.

    Attributes:
        stream: its bytes.
        cut: ends it now, without waiting; what is under way is thrown away. May be called again.
    """

    stream: trio.abc.Stream
    cut: Callable[[], None]


Dial = Callable[[str, int], Awaitable[Wire]]
"""Opens a connection to a host and port; raises OSError."""


async def dial_tcp(host: str, port: int) -> Wire:
    """The `Dial` of the program."""
    tcp = await trio.open_tcp_stream(host, port)
    return Wire(tcp, partial(_reset, tcp))


def _reset(tcp: trio.SocketStream) -> None:
    """Throw away what waits in the kernel's buffers; the other side sees a reset.

    Grafana would otherwise go on to read, for minutes over a slow line, what will be sent again anyway.
    """
    if tcp.socket.fileno() != -1:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        tcp.socket.close()


class PushStream(trio.abc.Stream):
    """Wraps `stream`, TLS or plain, which runs over what `cut` cuts.

    Attributes:
        received: what came before `opened` was called.
        ended: nothing more will be received before the socket is open.
        on_end: called when that becomes so.
    """

    def __init__(self, stream: trio.abc.Stream, cut: Callable[[], None]) -> None:
        self._stream = stream
        self._cut = cut
        self._opening = True
        self.received = bytearray()
        self.ended = False
        self.on_end: Callable[[], None] = lambda: None

    def opened(self) -> None:
        """The socket is open: keep nothing more, tell nothing more."""
        self._opening = False
        self.received.clear()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream`."""
        with self._watched():
            data = await self._stream.receive_some(max_bytes)
        if self._opening:
            self.received += data
            if not data or len(self.received) > ANSWER_LIMIT_BYTES:
                self._end()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        with self._watched():
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await self._stream.aclose()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end()
            raise

    def _end(self) -> None:
        if self._opening:
            self.ended = True
            self.on_end()

    def abort(self) -> None:
        """Cut the connection below, see `Wire`."""
        self._cut()
