"""Calls somebody at a time that is set anew again and again, which costs next to nothing while it only moves away.

For who waits for an event *or* a time, and nearly always gets the event: a cancel scope around each wait would be
opened, registered with Trio and closed a thousand times a second, and never fire (there were three of them a message).
Here one scope stays open until it fires. It may call too early, when the time was put off meanwhile: whoever is called
looks at the clock anyway.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio


class Alarm:
    """See the module; does nothing unless `run` runs."""

    def __init__(self, call: Callable[[], object]) -> None:
        """`call` is what happens then."""
        self._call = call
        self._at = math.inf
        self._scope = trio.CancelScope()

    def set(self, at: float) -> None:
        """Call at `at` (Trio's clock) or before; ``math.inf``: there is no need."""
        if at < self._at:
            self._at = self._scope.deadline = at

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            with self._scope:
                await trio.sleep_forever()
            self._at = math.inf
            self._scope = trio.CancelScope()
            self._call()
