"""What is written to Grafana and not yet acknowledged.

Grafana reads, converts, publishes, then reads again, so a pong proves that everything written before its ping
was processed (Grafana: pkg/services/live/pushws). Hence no message has an acknowledgement of its own: a ping
covers all that was written before it, and a pong also answers the pings before its own.

Pure: the time is an argument, nothing is sent. Each row and each mark is acknowledged once, in order.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from trio_bridge.sender.pace import Message


@dataclass(frozen=True, slots=True)
class Written:
    """What was written from the start of the connection to some moment.

    Attributes:
        messages: how many, also those without data.
        bytes: their size.
        rows: their lines.
        mark: the highest mark that was complete; 0: none.
    """

    messages: int = 0
    bytes: int = 0
    rows: int = 0
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Ping:
    """One ping.

    Attributes:
        payload: unique in all connections.
        asked_at: when it was made.
        covers: all that was written before it.
    """

    payload: bytes
    asked_at: float
    covers: Written


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What one pong proves beyond the pongs before it.

    Attributes:
        rows: lines more.
        mark: the mark that is now acknowledged, with all before; None: no new one.
        messages: messages more, also those without data.
    """

    rows: int
    mark: int | None
    messages: int


class InFlight:
    """The account of one connection."""

    def __init__(self, nonce: bytes) -> None:
        """`nonce` tells the pings of this connection from those of any other (a pong of an old one proves nothing)."""
        self._nonce: Final = nonce
        self._count = 0
        self._pings: deque[Ping] = deque()
        self._written = self._covered = self._acknowledged = Written()

    def wrote(self, message: Message) -> None:
        """`message` is on the socket as a whole."""
        before = self._written
        self._written = Written(
            before.messages + 1,
            before.bytes + len(message.data),
            before.rows + message.rows,
            before.mark if message.completed_mark is None else message.completed_mark,
        )

    def ping(self, now: float) -> Ping:
        """The next ping, to be written behind everything that was written."""
        self._count += 1
        ping = Ping(self._nonce + self._count.to_bytes(8, "big"), now, self._written)
        self._pings.append(ping)
        self._covered = self._written
        return ping

    def answered(self, ping: Ping) -> Acknowledgement:
        """`ping` was answered, and with it all before; nothing new if a later one already was."""
        while self._pings and self._pings[0].payload <= ping.payload:
            self._pings.popleft()
        before, proven = self._acknowledged, ping.covers
        if proven.messages <= before.messages:
            return Acknowledgement(0, None, 0)
        self._acknowledged = proven
        return Acknowledgement(
            proven.rows - before.rows,
            proven.mark if proven.mark > before.mark else None,
            proven.messages - before.messages,
        )

    @property
    def unacknowledged_bytes(self) -> int:
        """Size of all messages that no pong has covered yet."""
        return self._written.bytes - self._acknowledged.bytes

    @property
    def wants_ping(self) -> bool:
        """Whether something is written that no ping covers."""
        return self._written.messages > self._covered.messages

    @property
    def waits_since(self) -> float:
        """When the oldest unanswered ping was made; ``math.inf``: all are answered."""
        return self._pings[0].asked_at if self._pings else math.inf

    @property
    def settled(self) -> bool:
        """Whether all that was written is acknowledged and no ping is in the air."""
        return not self._pings and not self.wants_ping
