"""A TCP connection in virtual time: two ends, two bounded pipes, latency, FIN and RST.

An `End` does what a `trio.SocketStream` does. A pipe holds `capacity` bytes, written or under way: then whoever sends
waits, as when the other side does not read. A send that is cancelled leaves the bytes that fitted: half a frame. After
FIN the other side reads what was sent, then the end. After RST it reads what had arrived, what was still under way is
gone, then it gets an error: so a server may still process what an aborted client had sent, as Linux lets it. No task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio


class _Pipe:
    """One direction."""

    def __init__(self, capacity: int, latency_s: Callable[[], float]) -> None:
        self._capacity = capacity
        self._latency_s = latency_s
        # When each piece arrives; an empty one is the FIN.
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._arrives_at = 0.0
        self._changed = trio.lowlevel.ParkingLot()
        self.reset = False
        self.reader_gone = False
        self.writer_gone = False

    def put(self, data: bytes, delay_s: float = 0.0) -> None:
        """Never waits, whatever the capacity."""
        # One line: a later piece does not overtake.
        self._arrives_at = max(self._arrives_at, trio.current_time() + self._latency_s() + delay_s)
        self._pieces.append((self._arrives_at, data))
        self._size += len(data)
        self._changed.unpark_all()

    @property
    def room(self) -> int:
        return self._capacity - self._size

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        left = bytes(data)
        while True:
            if self.writer_gone:
                raise trio.ClosedResourceError
            if self.reader_gone:
                raise trio.BrokenResourceError
            if room := self.room:
                self.put(left[:room])
                left = left[room:]
            if not left:
                return
            await self._changed.park()

    async def receive(self, most: Callable[[], int]) -> bytes:
        await trio.lowlevel.checkpoint()
        while True:
            if self.reader_gone:
                raise trio.ClosedResourceError
            if not self._pieces:
                if self.reset:
                    raise trio.BrokenResourceError
                await self._changed.park()
                continue
            arrives_at, piece = self._pieces[0]
            if arrives_at > trio.current_time():
                with trio.move_on_at(arrives_at):
                    await self._changed.park()
            elif not piece:
                return b""
            else:
                return self._take(most())

    def _take(self, max_bytes: int) -> bytes:
        now = trio.current_time()
        taken: list[bytes] = []
        while max_bytes and self._pieces and self._pieces[0][0] <= now and self._pieces[0][1]:
            arrives_at, piece = self._pieces.popleft()
            if len(piece) > max_bytes:
                self._pieces.appendleft((arrives_at, piece[max_bytes:]))
                piece = piece[:max_bytes]
            max_bytes -= len(piece)
            self._size -= len(piece)
            taken.append(piece)
        self._changed.unpark_all()
        return b"".join(taken)

    def end(self, *, reset: bool) -> None:
        """The writer is gone for good."""
        if reset:
            now = trio.current_time()
            self._pieces = deque(piece for piece in self._pieces if piece[0] <= now and piece[1])
            self.reset = True
        elif not self.writer_gone:
            self.put(b"")
        self.writer_gone = True
        self._changed.unpark_all()

    def abandon(self) -> None:
        """The reader is gone for good."""
        self.reader_gone = True
        self._changed.unpark_all()


class End(trio.abc.HalfCloseableStream):
    """One end of a connection; made by `connection`.

    Attributes:
        closed: from this side.
    """

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        await self._outgoing.send(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """See `trio.abc.ReceiveStream`."""
        return await self._incoming.receive(lambda: max_bytes or 65_536)

    async def receive_at_most(self, most: Callable[[], int]) -> bytes:
        """The same; `most` is asked when there is something."""
        return await self._incoming.receive(most)

    async def send_eof(self) -> None:
        """See `trio.abc.HalfCloseableStream`."""
        await trio.lowlevel.checkpoint()
        self._outgoing.end(reset=False)

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        self.close_now()
        await trio.lowlevel.checkpoint()

    def say(self, data: bytes, delay_s: float = 0.0) -> bool:
        """Put `data` on its way without waiting, later than usual by `delay_s`; False: no room, or nobody there."""
        if self.closed or self._outgoing.reader_gone or self._outgoing.room < len(data):
            return False
        self._outgoing.put(data, delay_s)
        return True

    def close_now(self, *, reset: bool = False) -> None:
        """Close from this side, by FIN or RST; who waits here gets a `trio.ClosedResourceError`."""
        if not self.closed:
            self.closed = True
            self._outgoing.end(reset=reset)
            self._incoming.abandon()


def connection(capacity: int, latency_s: Callable[[], float]) -> tuple[End, End]:
    """The client's and the server's end of a new connection.

    Args:
        capacity: bytes that the way to the server holds; the way back holds 64 KiB.
        latency_s: asked for each piece that is written.
    """
    there, back = _Pipe(capacity, latency_s), _Pipe(65_536, latency_s)
    return End(back, there), End(there, back)
