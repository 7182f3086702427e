"""A thread of one's own: its end is known, whatever ended it."""

from __future__ import annotations

import _thread
import sys
import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_bridge.listener import own_thread
from trio_bridge.listener.own_thread import in_a_thread


async def test_it_runs_in_a_thread_and_ends_with_it() -> None:
    """Beside Trio's; when this goes on it is over."""
    threads: list[int] = []
    await in_a_thread(lambda: threads.append(threading.get_ident()))
    assert len(threads) == 1
    assert threads != [threading.get_ident()]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
async def test_what_it_raises_is_raised_here(error: BaseException) -> None:
    """Of whatever kind."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await in_a_thread(fail)
    assert raised.value is error


async def test_a_cancellation_waits_for_its_end() -> None:
    """Nobody goes on while the thread still works with what is theirs."""
    go_on = threading.Event()
    ended = False

    def work() -> None:
        nonlocal ended
        go_on.wait()
        ended = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(in_a_thread, work)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        threading.Timer(0.05, go_on.set).start()
    assert ended


async def test_cancelled_before_it_starts_it_does_not() -> None:
    """Then there is nothing to wait for."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await in_a_thread(lambda: pytest.fail("it ran"))
    assert scope.cancelled_caught


async def test_a_thread_that_dies_without_a_word_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does that has no memory left even for its last words."""

    class NoMemory:
        returned = False

        @property
        def raised(self) -> None:
            return None

        @raised.setter
        def raised(self, error: BaseException | None) -> None:
            if error is not None:
                raise MemoryError

    def fail() -> None:
        raise MemoryError

    monkeypatch.setattr(own_thread, "_Outcome", NoMemory)
    # Python would print what nobody caught; it does so after the thread has let go of everything.
    told = threading.Event()
    monkeypatch.setattr(sys, "unraisablehook", lambda _: told.set())
    with pytest.raises(RuntimeError, match="died without a word"):
        await in_a_thread(fail)
    assert told.wait(10)


async def test_no_further_thread_is_an_error_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves nothing open."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        await in_a_thread(lambda: None)
