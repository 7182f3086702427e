"""The model's side of a comparison: the same acts on a `Cluster`, over a network without latency."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, Self, cast

from tests.simulation.postgres import Backend, Cluster, ModelServer
from tests.simulation.postgres.against.reader import ROUTE, Reader
from tests.simulation.postgres.against.real import HEARTBEAT_S, Facts
from tests.simulation.postgres.against.steps import READERS, WRITERS
from trio_bridge.handover import Wake
from trio_bridge.postgres.session import Session


class Clock:
    """`Times` and `Caller` in one, for a single thread: to block is to let everything happen that is due."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self._now = 0.0
        self._count = 0
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def now(self) -> float:
        return self._now

    def later(self, at: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (at, self._count, action))

    def block(self, until: float) -> None:
        """To the next thing that happens, or to `until`."""
        if self._due and self._due[0][0] <= until:
            at, _, action = heapq.heappop(self._due)
            self._now = max(self._now, at)
            action()
        else:
            assert until < math.inf, "nothing will ever happen"
            self._now = max(self._now, until)

    def kick(self) -> None:
        """Nobody is blocked while something happens."""

    def latency(self) -> float:
        return self.delay_s


class ModelWorld:
    """As `RealWorld`.

    Args:
        facts: its facts.
        cluster: go on with this one.
    """

    def __init__(self, facts: Facts, cluster: Cluster | None = None) -> None:
        self._stack = ExitStack()
        self._fresh = cluster is None
        self.cluster = cluster or Cluster(**facts._asdict())
        self._clock = Clock()
        self._server = ModelServer(self.cluster, self._clock, lock_timeout_s=HEARTBEAT_S)
        self._names: dict[int, str] = {}

    def __enter__(self) -> Self:
        self._wake = self._stack.enter_context(closing(Wake()))
        if self._fresh:
            self.cluster.add_route(ROUTE)
        self._writers = [self._connect(f"writer {number}") for number in range(WRITERS)]
        self.readers = [
            Reader(partial(self._open, f"reader {number}"), self._names.__getitem__)
            for number in range(READERS)
        ]
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def snapshot(self) -> str:
        return str(self.cluster.snapshot())

    def write(self, number: int, act: str, argument: Any) -> Any:
        writer = self._writers[number]
        match act:
            case "insert":
                points, ids = argument
                writer.insert(points, ids)
            case "notify":
                writer.notify("influx_feed", argument)
            case "gate":
                how, shared = argument
                return (writer.try_gate(shared=shared) if how == "try" else writer.free_gate(shared=shared),)
            case "draw":
                return (writer.draw(),)
            case _:
                getattr(writer, act)(*() if argument is None else (argument,))
        return None

    def set_synchronous(self, *, on: bool) -> None:
        self.cluster.synchronous_commit = on

    def toggle_trigger(self) -> None:
        self.cluster.trigger = not self.cluster.trigger
        stranger = self.cluster.connect()
        stranger.draw()
        stranger.end()

    def refused(self, reader: Reader) -> Any:
        self.cluster.lock_table()
        try:
            return reader.refused()
        finally:
            self.cluster.unlock_table()

    def _connect(self, name: str) -> Backend:
        backend = self.cluster.connect()
        self._names[backend.pid] = name
        return backend

    def _open(self, name: str) -> Session:
        session = self._server.connect("", self._wake, timeout_s=1, caller=self._clock)
        self._names[session.backend_pid] = name
        return cast(Session, session)
