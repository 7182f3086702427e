"""A thread that is none: what the listener's thread does, in a greenlet that the calendar resumes, in virtual time.

The source blocks in exactly one place, its session's `Caller.block`. There the greenlet hands over to Trio's loop, and
goes on at the moment it named, or when it is kicked, or woken. So there is one OS thread, one clock and one order of
things. As a thread is, it is deaf to cancellation: only `Wake.abort` ends it. The threads of a frozen process stand
still: whatever they wait for, they go on when it is thawed.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable

import trio
from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

from tests.simulation.clock import Clock, Entry
from trio_bridge.handover import Wake


class Freezer:
    """A process' SIGSTOP and SIGCONT, as far as what comes to it from outside is concerned."""

    def __init__(self) -> None:
        self._thawed: trio.Event | None = None
        self._waiting: list[Callable[[], None]] = []

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return self._thawed is not None

    def freeze(self) -> None:
        """Nothing reaches it any more, until `thaw`."""
        if self._thawed is None:
            self._thawed = trio.Event()

    def thaw(self) -> None:
        """Everything that waits reaches it now."""
        if self._thawed is not None:
            self._thawed.set()
            self._thawed = None
            waiting, self._waiting = self._waiting, []
            for go_on in waiting:
                go_on()

    def when_thawed(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` then; only while frozen."""
        self._waiting.append(go_on)

    async def wait_thawed(self) -> None:
        """Return while it runs."""
        while self._thawed is not None:
            await self._thawed.wait()


class Thread:
    """One thread of one process, and the `Caller` of its session.

    Args:
        work: what it does.
        clock: in whose calendar it waits.
        freezer: its process'.
        latency: of the way to Postgres and back, see `tests.simulation.postgres.Caller`.
    """

    def __init__(
        self, work: Callable[[], None], clock: Clock, freezer: Freezer, latency: Callable[[], float]
    ) -> None:
        self.latency = latency
        self._work = work
        self._clock = clock
        self._freezer = freezer
        self._greenlet = greenlet(self._run)
        # Its log lines are its process'.
        self._greenlet.gr_context = contextvars.copy_context()
        self._due: Entry | None = None
        self._kicked = False
        self._failure: BaseException | None = None
        self._done = trio.Event()

    def woken_by(self, wake: Wake) -> None:
        """`block` also ends when `wake` rings.

        Directly: its byte would take a detour through the kernel, which costs more than all the rest of a wait.
        """
        wake._ring = self.kick  # type: ignore[method-assign]

    async def run(self) -> None:
        """Until the work is done; raises what it raises."""
        self._clock.later(self._clock.now(), self._resume)
        with trio.CancelScope(shield=True):
            await self._done.wait()
        if self._failure is not None:
            raise self._failure

    def block(self, until: float) -> None:
        """Return at `until`, after `kick`, or when the wake rings."""
        if self._kicked:
            until = self._clock.now()
            self._kicked = False
        self._due = self._clock.enter(until, self._resume)
        hub = self._greenlet.parent
        assert hub is not None
        hub.switch()

    def kick(self) -> None:
        """End `block`, or the next one."""
        if self._due is None:
            self._kicked = True
        elif self._due.at > self._clock.now():
            self._due.cancel()
            self._due = self._clock.enter(self._clock.now(), self._resume)

    def _resume(self) -> None:
        if self._freezer.frozen:
            self._freezer.when_thawed(self._resume)
            return
        self._due = None
        _threads[self._greenlet] = self
        self._greenlet.switch()

    def _run(self) -> None:
        try:
            self._work()
        # It is raised again where the thread is waited for.
        except BaseException as failure:  # noqa: ASYNC103
            self._failure = failure
        finally:
            del _threads[self._greenlet]
            self._done.set()


_threads: dict[greenlet, Thread] = {}


def current_thread() -> Thread:
    """The one whose work this is."""
    return _threads[getcurrent()]
