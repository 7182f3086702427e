"""An alarm calls when it must, however often it is set, and at most once a time."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from trio_bridge.sender.alarm import Alarm


async def test_calls_by_the_earliest_time_it_was_set_to(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """A later time does not put it off, an earlier one counts; after the call it has to be set anew."""
    calls: list[float] = []
    alarm = Alarm(lambda: calls.append(autojump_clock.current_time()))
    nursery.start_soon(alarm.run)
    for at in (5.0, 7.0, math.inf, 3.0, 4.0):
        alarm.set(at)
    await trio.sleep_until(10)
    assert calls == [3.0]
    alarm.set(12.0)
    await trio.sleep_until(20)
    assert calls == [3.0, 12.0]


async def test_may_be_set_before_it_runs_and_by_whom_it_calls(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Nothing is missed at its start, and who was called too early sets it again."""
    calls: list[float] = []

    def call() -> None:
        calls.append(autojump_clock.current_time())
        if len(calls) < 3:
            alarm.set(autojump_clock.current_time() + 2)

    alarm = Alarm(call)
    alarm.set(1.0)
    nursery.start_soon(alarm.run)
    await trio.sleep_until(30)
    assert calls == [1.0, 3.0, 5.0]


async def test_what_the_call_raises_ends_the_run(autojump_clock: MockClock) -> None:
    """An alarm may be a failure."""

    def call() -> None:
        raise ValueError("due")

    alarm = Alarm(call)
    alarm.set(1.0)
    with pytest.raises(ValueError, match="due"):
        await alarm.run()
    assert autojump_clock.current_time() == 1.0
