"""What stands for the listener's thread: it blocks as one, is woken as one, and is as deaf as one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from tests.simulation.clock import Clock
from tests.simulation.thread import Freezer, Thread, current_thread
from trio_bridge.handover import Wake


class Rig:
    """A thread that blocks until 1.0 and notes when it went on."""

    def __init__(self, clock: Clock, work: Callable[[], None] | None = None) -> None:
        self.went_on: list[float] = []
        self.freezer = Freezer()
        self.clock = clock
        self.thread = Thread(work or self.block, clock, self.freezer, lambda: 0.0)

    def block(self) -> None:
        assert current_thread() is self.thread
        self.thread.block(1.0)
        self.went_on.append(self.clock.now())


def rig(meanwhile: Callable[[Rig], None], at: float = 0.2) -> Rig:
    """Run one, and `meanwhile` at `at`."""
    clock = Clock()

    async def main() -> Rig:
        made = Rig(clock)
        clock.later(at, lambda: meanwhile(made))
        await made.thread.run()
        return made

    return trio.run(main, clock=clock)


def test_it_goes_on_at_its_time() -> None:
    """And not before."""
    assert rig(lambda _: None).went_on == [1.0]


def test_a_kick_ends_the_wait() -> None:
    """Something arrived."""
    assert rig(lambda made: made.thread.kick()).went_on == [0.2]


def test_an_early_kick_ends_the_next_wait() -> None:
    """What arrived before it blocked is not slept over."""
    assert rig(lambda made: made.thread.kick(), at=0.0).went_on == [0.0]


def test_the_wake_ends_the_wait() -> None:
    """As its byte would."""
    wake = Wake()

    def ring(made: Rig) -> None:
        made.thread.woken_by(wake)
        wake.arm()
        wake.wake()

    assert rig(ring).went_on == [0.2]
    wake.close()


def test_a_frozen_thread_goes_on_when_it_is_thawed() -> None:
    """Whatever it waited for has come long ago."""

    def freeze(made: Rig) -> None:
        made.freezer.freeze()
        made.thread.kick()
        made.clock.later(3.0, made.freezer.thaw)

    assert rig(freeze).went_on == [3.0]


def test_cancellation_does_not_reach_it() -> None:
    """Whoever waits for it waits until it has ended."""
    clock = Clock()

    async def main() -> None:
        made = Rig(clock)
        with trio.move_on_after(0.1):
            await made.thread.run()
        assert made.went_on == [1.0]

    trio.run(main, clock=clock)


def test_its_failure_is_told() -> None:
    """Where a thread's would be."""

    def fail() -> None:
        raise ValueError("no")

    clock = Clock()

    async def main() -> None:
        with pytest.raises(ValueError, match="no"):
            await Rig(clock, fail).thread.run()

    trio.run(main, clock=clock)
