"""The schedule's clock: exact jumps, an order that depends on nothing else, and no jump over what has arrived."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.simulation.clock import Clock
from trio_bridge.handover import Outlet


def run(main: Callable[[Clock], Awaitable[None]]) -> Clock:
    clock = Clock()
    trio.run(main, clock, clock=clock)
    return clock


def test_what_is_due_happens_in_its_order_and_at_its_time() -> None:
    """By time, then in the order of the calls; Trio's own deadlines lie in the same order."""
    happened: list[tuple[float, str]] = []

    async def main(clock: Clock) -> None:
        for at, name in ((0.3, "late"), (0.1, "first"), (0.1, "second")):
            clock.later(at, lambda name=name: happened.append((clock.now(), name)))  # type: ignore[misc]
        await trio.sleep(0.2)
        happened.append((trio.current_time(), "slept"))
        await trio.sleep(0.2)

    assert run(main).now() == 0.4
    assert happened == [(0.1, "first"), (0.1, "second"), (0.2, "slept"), (0.3, "late")]


def test_what_is_cancelled_does_not_happen() -> None:
    """Nor does time stop at it."""

    async def main(clock: Clock) -> None:
        clock.enter(0.1, pytest.fail).cancel()
        await trio.sleep(0.5)

    run(main)


def test_time_stands_still_while_an_item_waits() -> None:
    """What a thread puts into its outlet, through a socket of the kernel, reaches Trio in the same instant."""
    outlet: Outlet[float] = Outlet()

    async def main(clock: Clock) -> None:
        def put() -> None:
            clock.let_trio_look()
            outlet.put(clock.now())

        clock.later(0.25, put)
        clock.later(0.3, lambda: None)
        assert await outlet.wait_get() == trio.current_time() == 0.25

    run(main)
    outlet.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nobody_may_wait_for_ever() -> None:
    """If nothing will ever happen again, the schedule fails instead of hanging."""

    async def main(_: Clock) -> None:
        await trio.sleep_forever()

    with pytest.raises(trio.TrioInternalError) as caught:
        run(main)
    assert str(caught.value.__cause__).startswith("everybody waits for ever")
    # A run loop that broke off leaves its tasks as they were.
    del caught
    gc.collect()
