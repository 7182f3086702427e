"""The one clock of a schedule, and its calendar: when nobody has anything to do, time jumps to whatever comes next.

Trio asks a clock for the time and, once every task waits and no descriptor is ready, lets it jump (as
`trio.testing.MockClock` does). This one jumps to the next deadline of Trio's or the next entry of its calendar,
exactly, and runs the entry there and then: the models' network, and the greenlets that stand for threads, live in the
calendar and cost no task. Pure but for the hook into Trio's run loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush

import trio
from trio._core._run import GLOBAL_RUN_CONTEXT
from trio.testing import MockClock


class Entry:
    """Something that is to be done at a moment.

    Attributes:
        at: virtual seconds.
    """

    __slots__ = ("_action", "at")

    def __init__(self, at: float, action: Callable[[], None]) -> None:
        self.at = at
        self._action: Callable[[], None] | None = action

    @property
    def cancelled(self) -> bool:
        """Whether it is not to be done any more."""
        return self._action is None

    def cancel(self) -> None:
        """It is not to be done any more."""
        self._action = None

    def happen(self) -> None:
        """Now."""
        if self._action is not None:
            self._action()


class Clock(trio.abc.Clock):
    """See the module; also the `Times` of `tests.simulation.postgres`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._calendar: list[tuple[float, int, Entry]] = []
        self._entries = 0
        self._over = False

    def now(self) -> float:
        """Virtual seconds."""
        return self._now

    def later(self, at: float, action: Callable[[], None]) -> None:
        """Call `action` at `at`; what is due at the same time in the order of these calls."""
        self.enter(at, action)

    def enter(self, at: float, action: Callable[[], None]) -> Entry:
        """As `later`, to be cancelled perhaps."""
        self._entries += 1
        entry = Entry(at, action)
        heappush(self._calendar, (at, self._entries, entry))
        return entry

    def let_trio_look(self) -> None:
        """Something was written to a descriptor: time must not go on before Trio has seen it."""
        self._over = True

    # What Trio asks.

    def start_clock(self) -> None:
        """See `trio.abc.Clock`."""
        GLOBAL_RUN_CONTEXT.runner.clock_autojump_threshold = 0

    def current_time(self) -> float:
        """See `trio.abc.Clock`."""
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """See `trio.abc.Clock`."""
        return 0.0 if deadline <= self._now else 999_999_999.0

    def _autojump(self) -> None:
        runner, calendar = GLOBAL_RUN_CONTEXT.runner, self._calendar
        self._over = False
        # One entry after the other, as long as no task has anything to do with them.
        while not self._over and not runner.runq:
            while calendar and calendar[0][2].cancelled:
                heappop(calendar)
            deadline = runner.deadlines.next_deadline()
            if not calendar or deadline < calendar[0][0]:
                assert deadline < math.inf, "everybody waits for ever"
                self._now = deadline
                return
            at, _, entry = heappop(calendar)
            self._now = max(self._now, at)
            entry.happen()


# Trio lets no other class jump, and that one nobody inherit from it.
MockClock.register(Clock)
