"""The simulation's calendar: what the models want done at a virtual moment, done then, in the order in which they asked.

One Trio task, `Times.run`; it ends when cancelled.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from heapq import heappop, heappush

import trio


class Times:
    """See `tests.simulation.postgres.Times`."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._changed = trio.lowlevel.ParkingLot()
        self.now: Callable[[], float] = trio.current_time

    def later(self, at: float, action: Callable[[], None]) -> None:
        """Call `action` at `at`; what is due at the same time in the order of these calls."""
        if not self._due or at < self._due[0][0]:
            self._changed.unpark()
        heappush(self._due, (at, next(self._numbers), action))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            while self._due and self._due[0][0] <= trio.current_time():
                _, _, action = heappop(self._due)
                action()
            with trio.move_on_at(self._due[0][0] if self._due else math.inf):
                await self._changed.park()
