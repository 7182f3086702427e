"""The push socket: reads a message, converts it, publishes it, then reads the next, in one loop per connection.

Grafana: pkg/services/live/pushws. What a sender may rely on follows from that loop: a pong comes after everything that
was sent before its ping has been published. And what it may not rely on: a message that does not parse is dropped whole
and in silence, the socket stays open, the next ping is answered.

The server pings every `ping_interval_s` and cuts the TCP connection without a close frame if no pong has been processed
for `cut_after_s`; data does not count. Runs until the connection ends; the server owns the stream.
"""

from __future__ import annotations

import math
import time
from typing import Protocol

import trio

from trio_bridge.live.faults import Faults
from trio_bridge.live.sockets import Message, Ping, Pong, Socket

_READ_BYTES = 64 * 1024
# A throttled connection is read this often, so that its rate is smooth; a guess that keeps tests of 1 kB/s quick.
_THROTTLED_READS_PER_S = 20


class Sink(Protocol):
    """What the server does with what comes in."""

    def message(self, data: bytes, arrived_s: float) -> None:
        """Converts and publishes a whole message that arrived at `arrived_s` (monotonic s); never waits."""

    def ping(self) -> None:
        """A ping was read."""

    def pong(self) -> None:
        """A pong was processed."""

    async def settle(self) -> None:
        """Lets other tasks run; returns after the subscribers' writers had their turn."""


class PushConnection:
    """One accepted push socket."""

    def __init__(
        self, socket: Socket, faults: Faults, sink: Sink, *, ping_interval_s: float, cut_after_s: float
    ) -> None:
        self._socket = socket
        self._faults = faults
        self._sink = sink
        self._ping_interval_s = ping_interval_s
        self._cut_after_s = cut_after_s
        self._cut_at = trio.current_time() + cut_after_s

    async def run(self, events: list[Message | Ping | Pong]) -> None:
        """Handles `events`, which came with the handshake, then reads until the connection ends."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ping)
            await self._read(events)
            nursery.cancel_scope.cancel()

    async def _read(self, events: list[Message | Ping | Pong]) -> None:
        faults = self._faults
        while True:
            arrived_s = time.monotonic()
            for event in events:
                await faults.wait_reading()
                if self._socket.is_cut:
                    return
                await self._handle(event, arrived_s)
            if self._socket.closed:
                return
            await faults.wait_reading()
            with trio.move_on_at(self._cut_at) as scope:
                events = await self._receive()
            if scope.cancelled_caught:
                self._socket.cut()
                return

    async def _receive(self) -> list[Message | Ping | Pong]:
        rate = self._faults.bytes_per_s
        if rate == math.inf:
            return await self._socket.receive(_READ_BYTES)
        max_bytes = max(1, int(rate / _THROTTLED_READS_PER_S))
        await trio.sleep(max_bytes / rate)
        return await self._socket.receive(max_bytes)

    async def _handle(self, event: Message | Ping | Pong, arrived_s: float) -> None:
        if isinstance(event, Message):
            if self._faults.seconds_per_message:
                await trio.sleep(self._faults.seconds_per_message)
            if self._faults.fail_publishing:
                self._socket.cut()
            elif not self._faults.drop_in_silence:
                self._sink.message(event.data, arrived_s)
                await self._sink.settle()
        elif isinstance(event, Ping):
            self._sink.ping()
            if not self._faults.takes_ping():
                await self._socket.send_pong(event.payload)
        else:
            self._sink.pong()
            self._cut_at = trio.current_time() + self._cut_after_s

    async def _ping(self) -> None:
        last = trio.current_time()
        while True:
            interval_s = self._faults.server_ping_interval_s
            due = last + (self._ping_interval_s if interval_s is None else interval_s)
            with trio.move_on_at(due) as scope:
                await self._faults.wait_change()
            if scope.cancelled_caught:
                last = trio.current_time()
                await self._socket.send_ping(b"")
