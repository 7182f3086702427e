"""The way between a replica and Postgres: how long messages take and which are lost; and the DNS that points there."""

from __future__ import annotations

import math
import random
import socket
from typing import Any

import trio


class Way:
    """See the module; called, it is a `latency` as `tests.simulation.postgres.Caller` wants it.

    Args:
        least_s: one way; up to twice as much.
        rng: decides.

    Attributes:
        added_s: on top, while something slows the network down.
        lose: messages that are lost from now on, each with its direction of its connection.
    """

    def __init__(self, least_s: float, rng: random.Random) -> None:
        self.added_s = 0.0
        self.lose = 0
        self._least_s = least_s
        self._random = rng

    def __call__(self) -> float:
        """Seconds for the next message."""
        if self.lose:
            self.lose -= 1
            return math.inf
        return self._least_s * (1.0 + self._random.random()) + self.added_s * self._random.random()


class Names(trio.abc.HostnameResolver):
    """The DNS of the simulation: it knows everybody, unless it is broken."""

    def __init__(self) -> None:
        self.broken = False

    async def getaddrinfo(self, *_: Any) -> list[Any]:
        """See `trio.abc.HostnameResolver`."""
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.1", 5432))]

    async def getnameinfo(self, *_: Any) -> tuple[str, str]:
        """See `trio.abc.HostnameResolver`."""
        raise AssertionError("nobody asks for an address' name")
