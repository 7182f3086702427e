"""What lies between a client's thread and the server: two directions, each in order, each as slow as the runtime says.

A message that is lost takes its direction with it: TCP would send it again and again, and deliver nothing behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol


class Times(Protocol):
    """The clock of the whole simulation, given by the runtime."""

    def now(self) -> float:
        """Monotonic seconds."""

    def later(self, at: float, action: Callable[[], None]) -> None:
        """Call `action` at `at`; what is due at the same time in the order of these calls."""


class Caller(Protocol):
    """One client thread, given by the runtime."""

    def block(self, until: float) -> None:
        """Return at `until`, or as soon as `kick` is called."""

    def kick(self) -> None:
        """End a `block` that is under way."""

    def latency(self) -> float:
        """Seconds that the next message takes, one way; ``inf``: it never arrives."""


class Direction:
    """One half of a connection."""

    def __init__(self, times: Times, latency: Callable[[], float]) -> None:
        self._times = times
        self._latency = latency
        self._last = -math.inf
        self._under_way = 0

    def cut(self) -> None:
        """Nothing gets through any more."""
        self._last = math.inf

    def arrival(self) -> float:
        """When a message that is sent now arrives."""
        self._last = max(self._last, self._times.now() + self._latency())
        return self._last

    def send(self, action: Callable[[], None]) -> None:
        """Run `action` when a message that is sent now arrives; at once if that is now."""
        at = self.arrival()
        if at <= self._times.now() and not self._under_way:
            action()
        elif at < math.inf:
            self._under_way += 1
            self._times.later(at, lambda: self._arrive(action))

    def _arrive(self, action: Callable[[], None]) -> None:
        self._under_way -= 1
        action()
