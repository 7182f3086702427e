"""One virtual Grafana: takes connections, reads a message, publishes it, reads the next; and all that can go wrong.

Grafana: pkg/services/live/pushws. One loop per connection, so a ping is answered after everything before it has been
published; a message with a bad line vanishes whole and in silence; a socket on which no pong was seen for 27.8 s is cut
without a word. A message that is being converted when the socket is cut is not published. Time is Trio's alone, chance
comes from the generator given. *Owns* its connections' tasks, in the nursery given; they end with their connections.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Hashable
from typing import Final

import trio
from websockets.frames import Opcode

from tests.simulation.live.conditions import Conditions
from tests.simulation.live.lines import Reader, Unparsable
from tests.simulation.live.panel import Panel, Schema, schema_of
from tests.simulation.live.peer import Came, Peer
from tests.simulation.live.records import Delivery, Observer, Row
from tests.simulation.live.wire import End, connection

MESSAGE_LIMIT: Final = 1 << 20
"""Grafana closes with 1009 above."""


class _Open:
    """One push socket and what is remembered of it."""

    def __init__(self, number: int, owner: Hashable, peer: Peer, cut_at: float) -> None:
        self.number = number
        self.owner = owner
        self.peer = peer
        self.cut_at = cut_at
        self.sequence = 0
        self.flag = ""


class LiveModel(Conditions):
    """See the package for the whole list.

    Args:
        nursery: for the tasks of its connections.
        rng: decides what is random here.
        key: name of the field that is a row's key.
        buffer_bytes: what the kernels hold of what the client sends.
        latency_s: one way, at least; up to twice as much.
        service_s: what a message takes, on average.
        window_rows: what a panel's buffer holds.
        ping_interval_s: Grafana's ping.
        cut_after_s: without a pong for so long a connection is cut.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        rng: random.Random,
        *,
        key: str = "id",
        buffer_bytes: int = 262_144,
        latency_s: float = 0.0002,
        service_s: float = 0.0005,
        window_rows: int = 5_000,
        ping_interval_s: float = 25.0,
        cut_after_s: float = 27.78,
    ) -> None:
        self._nursery = nursery
        super().__init__(rng)
        self._reader = Reader(key)
        self._buffer_bytes = buffer_bytes
        self._least_latency_s = latency_s
        self._service_s = service_s
        self._window_rows = window_rows
        self._ping_interval_s = ping_interval_s
        self._cut_after_s = cut_after_s
        self._sockets: list[_Open] = []
        self._old_pings: deque[bytes] = deque([b"never asked"], maxlen=20)
        self._panels: dict[str, Panel] = {}
        self._cached: dict[str, tuple[Schema, tuple[Row, ...]]] = {}
        self.connections = 0
        self.processed: list[Delivery] = []
        self.unparsable: list[Delivery] = []
        self.observers: list[Observer] = []

    # The product's side.

    async def dial(self, owner: Hashable = "") -> End:
        """A TCP connection.

        Raises:
            ConnectionRefusedError: nobody listens.
        """
        await trio.sleep(2 * self._latency_s())
        if self.refuses_dials:
            raise ConnectionRefusedError(111, "Connection refused")
        client, server = connection(self._buffer_bytes, self._latency_s)
        self._nursery.start_soon(self._serve, server, owner)
        return client

    # What was seen.

    @property
    def open(self) -> int:
        """Push sockets at this moment."""
        return len(self._sockets)

    def panel(self, measurement: str) -> Panel:
        """The viewer of this measurement who has been there all the time."""
        return self._panels.setdefault(measurement, Panel(self._window_rows))

    def open_panel(self, measurement: str) -> Panel:
        """A viewer who opens the page now, and from now on is the one who is there."""
        panel = self._panels[measurement] = Panel(self._window_rows)
        if measurement in self._cached:
            panel.take(*self._cached[measurement])
        return panel

    # Acts.

    def restart(self, down_s: float) -> None:
        """The process ends and comes back; a browser keeps what it shows, Grafana forgets the last message."""
        self.cut()
        self._cached.clear()
        self.refuse_dials(down_s)

    def cut(self, *, reset: bool = False) -> None:
        """End all sockets without a close frame."""
        for socket in self._sockets:
            socket.peer.cut(reset=reset)

    def close(self, code: int) -> None:
        """End all sockets with a close frame."""
        for socket in self._sockets:
            socket.peer.close(code)

    def stray_pong(self) -> None:
        """A pong that answers nothing: of a ping that was answered or of another socket, unknown, or empty."""
        for socket in self._sockets:
            socket.peer.pong(self._rng.choice([*self._old_pings, self._rng.randbytes(16), b""]))

    def flood_pings(self, count: int) -> None:
        """Many pings at once."""
        for socket in self._sockets:
            for number in range(count):
                socket.peer.ping(number.to_bytes(4, "big"))

    def say(self, text: str) -> None:
        """A message that nobody expects."""
        for socket in self._sockets:
            socket.peer.text(text)

    # How it works.

    def _latency_s(self) -> float:
        return self._least_latency_s * (1.0 + self._rng.random())

    async def _serve(self, end: End, owner: Hashable) -> None:
        peer = Peer(end, message_limit=MESSAGE_LIMIT)
        if refusal := self.refusal:
            await peer.refuse(refusal)
            return
        came = await peer.accept()
        if came is None:
            return
        self.connections += 1
        socket = _Open(self.connections, owner, peer, trio.current_time() + self._cut_after_s)
        self._sockets.append(socket)
        for observer in self.observers:
            observer.connected(socket.number, owner)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ping, peer)
            await self._read(socket, came)
            nursery.cancel_scope.cancel()
        peer.cut()
        self._sockets.remove(socket)

    async def _ping(self, peer: Peer) -> None:
        while True:
            await trio.sleep(self._ping_interval_s)
            peer.ping(b"")

    async def _read(self, socket: _Open, came: list[Came]) -> None:
        while True:
            for each in came:
                await self.wait_not_mute()
                await self._take(socket, each)
                if socket.peer.is_cut:
                    return
            if socket.peer.closed:
                return
            await self.wait_not_mute()
            with trio.move_on_at(socket.cut_at) as patience:
                came = await socket.peer.receive(self.most_at_once)
                await self.wait_read_again()
            if patience.cancelled_caught:
                return

    async def _take(self, socket: _Open, came: Came) -> None:
        if came.kind is Opcode.PONG:
            socket.cut_at = trio.current_time() + self._cut_after_s
        elif came.kind is Opcode.PING:
            self._answer(socket, came.data)
        else:
            if self._service_s:
                await trio.sleep(2 * self._service_s * self._rng.random())
            if not socket.peer.is_cut:
                self._publish(socket, came.data)

    def _answer(self, socket: _Open, payload: bytes) -> None:
        if self.passes_over_ping():
            return
        for observer in self.observers:
            observer.ponged(socket.number, socket.sequence)
        # Only those: the answer to one that was passed over would be a late one, and true.
        self._old_pings.append(payload)
        socket.peer.pong(payload, self.pong_delay_s)

    def _publish(self, socket: _Open, data: bytes) -> None:
        socket.sequence += 1
        try:
            lines = self._reader.read(data)
        except Unparsable:
            delivery = Delivery(
                trio.current_time(), socket.number, socket.owner, socket.sequence, "", (), "", False, data
            )
            self.unparsable.append(delivery)
        else:
            flag, measurement = lines[0].flag, lines[0].measurement
            rows = tuple([line.row for line in lines])
            delivery = Delivery(
                trio.current_time(),
                socket.number,
                socket.owner,
                socket.sequence,
                measurement,
                rows,
                flag,
                flag not in ("", socket.flag),
                None,
            )
            socket.flag = flag
            schema = schema_of(lines)
            self._cached[measurement] = schema, rows
            self.panel(measurement).take(schema, rows)
        self.processed.append(delivery)
        for observer in self.observers:
            observer.processed(delivery)
