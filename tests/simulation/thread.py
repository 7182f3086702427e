"""A thread that is none: what the listener's thread does, in a greenlet that one Trio task drives, in virtual time.

The source blocks in exactly one place, its session's `Caller.block`. There the greenlet hands over to its task, which
waits for the moment, a kick or a byte on the wake socket, and switches back. So there is one OS thread, one clock and one
order of things. As a thread is, it is deaf to cancellation: only `Wake.abort` ends it. A frozen process' threads stand
still: whatever they wait for, they go on when it is thawed.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable

import trio
from greenlet import getcurrent, greenlet

from trio_bridge.handover import Wake


class Freezer:
    """A process' SIGSTOP and SIGCONT, as far as what comes to it from outside is concerned."""

    def __init__(self) -> None:
        self._thawed: trio.Event | None = None

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

    async def wait_thawed(self) -> None:
        """Return while it runs."""
        while self._thawed is not None:
            await self._thawed.wait()


class Thread:
    """One thread of one process, and the `Caller` of its session.

    Args:
        work: what it does.
        freezer: its process'.
        latency: of the way to Postgres and back, see `tests.simulation.postgres.Caller`.
    """

    def __init__(self, work: Callable[[], None], freezer: Freezer, latency: Callable[[], float]) -> None:
        self._freezer = freezer
        self.latency = latency
        self._wake: Wake | None = None
        self._waits: trio.CancelScope | None = None
        self._kicked = False
        self._greenlet = greenlet(work)
        # Its log lines are its process'.
        self._greenlet.gr_context = contextvars.copy_context()
        _threads[self._greenlet] = self

    def woken_by(self, wake: Wake) -> None:
        """`block` also ends when `wake` rings."""
        self._wake = wake

    async def run(self) -> None:
        """Until the work is done; raises what it raises."""
        try:
            until = self._greenlet.switch()
            while not self._greenlet.dead:
                await self._wait(until)
                until = self._greenlet.switch()
        finally:
            del _threads[self._greenlet]

    def block(self, until: float) -> None:
        """Return at `until`, after `kick`, or when the wake rings."""
        hub = self._greenlet.parent
        assert hub is not None
        hub.switch(until)

    def kick(self) -> None:
        """End `block`, or the next one."""
        self._kicked = True
        if self._waits is not None:
            self._waits.cancel()

    async def _wait(self, until: float) -> None:
        if not self._kicked:
            with trio.CancelScope(deadline=until, shield=True) as self._waits:
                if self._wake is None:
                    await trio.sleep_forever()
                else:
                    await trio.lowlevel.wait_readable(self._wake)
                    # Its bytes have done their work, and must not end the next wait.
                    self._wake.swallow()
            self._waits = None
        self._kicked = False
        if self._freezer.frozen:
            with trio.CancelScope(shield=True):
                await self._freezer.wait_thawed()


_threads: dict[greenlet, Thread] = {}


def current_thread() -> Thread:
    """The one whose work this is."""
    return _threads[getcurrent()]
