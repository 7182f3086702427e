"""A TCP proxy that can be broken while it runs: delay, narrow pipe, black holes, cuts, refusals, damage.

    client ──up──▶ FaultProxy ──up──▶ server
           ◀─down─            ◀─down─

Everything is a plain attribute that may be changed at any moment and holds for connections that exist and that come.
Its kernel answers keepalives and takes in what nobody reads, so what TCP settings of a server do is tested without it.
*Owns* its listener and all connections; ends with the block. Listens on a free port of the loopback.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio

CHUNK = 65_536


@dataclass(slots=True)
class Pipe:
    """What one direction does to bytes.

    Attributes:
        open: False: bytes are taken in and vanish, for good.
        flows: False: nothing is taken in; the sender fills its buffers and then waits.
        latency_s: later by this much, whatever the size.
        bytes_per_s: at most.
        slice_bytes: at most so many at a time, each in a write of its own.
        corrupt: the next byte that passes is changed.
    """

    open: bool = True
    flows: bool = True
    latency_s: float = 0.0
    bytes_per_s: float = math.inf
    slice_bytes: int = CHUNK
    corrupt: bool = False
    bytes_passed: int = 0


@dataclass(eq=False, slots=True)
class _Connection:
    client: trio.SocketStream
    server: trio.SocketStream
    cancel: trio.CancelScope = field(default_factory=trio.CancelScope)


class FaultProxy:
    """See the module; made by `fault_proxy`.

    Attributes:
        host: where it goes; may be changed (the next connections follow).
        port: the same.
        up: from the client to the server.
        down: from the server to the client.
        refuses: connections are closed as soon as they are there.
        swallows: connections are taken, and nothing ever comes.
        accepted: how many there have been.
        listens_on: (host, port) for the client.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.up = Pipe()
        self.down = Pipe()
        self.refuses = False
        self.swallows = False
        self.accepted = 0
        self.listens_on = ("", 0)
        self._connections: set[_Connection] = set()
        self._changed = trio.Event()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def black_hole(self, *, up: bool = True, down: bool = True) -> None:
        """From now on nothing gets through in these directions, and nobody is told."""
        self.up.open = self.up.open and not up
        self.down.open = self.down.open and not down

    def heal(self) -> None:
        """As new, for what comes from now on; what vanished stays lost."""
        self.up, self.down = Pipe(), Pipe()
        self.refuses = self.swallows = False
        self.changed()

    def changed(self) -> None:
        """Wakes a direction that does not flow or is very slow."""
        self._changed.set()
        self._changed = trio.Event()

    def cut(self, *, reset: bool = False) -> None:
        """End every connection, with a FIN on both sides, or else with a RST."""
        for connection in list(self._connections):
            if reset:
                for stream in (connection.client, connection.server):
                    # Closed with a linger of no time, TCP sends a reset.
                    stream.socket.setsockopt(
                        trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                    )
            connection.cancel.cancel()

    def half_close(self, *, towards_server: bool) -> None:
        """Send a FIN in one direction only."""
        for connection in list(self._connections):
            stream = connection.server if towards_server else connection.client
            stream.socket.shutdown(trio.socket.SHUT_WR)

    async def _serve(self, client: trio.SocketStream) -> None:
        self.accepted += 1
        # `serve_tcp` closes the client's stream when this returns.
        if self.refuses:
            return
        if self.swallows:
            await trio.sleep_forever()
        try:
            server = await trio.open_tcp_stream(self.host, self.port)
        except OSError:
            return
        connection = _Connection(client, server)
        self._connections.add(connection)
        try:
            async with server:
                with connection.cancel:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._carry, "up", client, server)
                        nursery.start_soon(self._carry, "down", server, client)
        finally:
            self._connections.discard(connection)

    async def _carry(self, direction: str, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        """One direction of one connection: reads at the pipe's pace, writes what has been delayed enough."""
        delayed_in, delayed_out = trio.open_memory_channel[tuple[float, bytes]](10_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver, delayed_out, sink)
            async with delayed_in:
                try:
                    await self._take_in(direction, source, delayed_in)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    # A connection that breaks on one side ends on the other too.
                    return

    async def _take_in(
        self, direction: str, source: trio.SocketStream, delayed: trio.MemorySendChannel[tuple[float, bytes]]
    ) -> None:
        while True:
            while not getattr(self, direction).flows:
                await self._changed.wait()
            data = bytes(await source.receive_some(min(CHUNK, getattr(self, direction).slice_bytes)))
            if not data:
                return
            pipe: Pipe = getattr(self, direction)
            if not pipe.open:
                continue
            if pipe.corrupt:
                pipe.corrupt = False
                data = bytes([data[0] ^ 0xFF]) + data[1:]
            pipe.bytes_passed += len(data)
            await delayed.send((trio.current_time() + pipe.latency_s, data))
            if pipe.bytes_per_s < math.inf:
                changed = self._changed
                with trio.move_on_after(len(data) / pipe.bytes_per_s):
                    await changed.wait()

    async def _deliver(
        self, delayed: trio.MemoryReceiveChannel[tuple[float, bytes]], sink: trio.SocketStream
    ) -> None:
        async with delayed:
            try:
                async for at, data in delayed:
                    await trio.sleep_until(at)
                    await sink.send_all(data)
                await sink.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return


@asynccontextmanager
async def fault_proxy(host: str, port: int) -> AsyncIterator[FaultProxy]:
    """A proxy before the server at `host`, `port`."""
    proxy = FaultProxy(host, port)
    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await nursery.start(
            partial(trio.serve_tcp, proxy._serve, 0, host="127.0.0.1")
        )
        proxy.listens_on = listeners[0].socket.getsockname()[:2]
        yield proxy
        nursery.cancel_scope.cancel()
