"""Runs what blocks in a thread of its own, and knows of its end whatever ended it.

Trio's worker threads report back through its loop, which takes memory. Where there is none left such a thread dies
without a word, and who waits for it waits for ever, a stop of the program included (measured: one time in four when a
bridge was left without memory under load). Here the thread holds one end of a socket pair, and nobody else does: when
it is gone that end is closed, if need be by Python as it drops what the thread held. `threading.Thread` will not do:
its `start` waits for the thread's first words (measured: one time in sixty they did not come).

Owns the thread and the pair. Ends when the thread has ended, never before, whatever is cancelled meanwhile.
"""

from __future__ import annotations

import _thread
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

import trio


@dataclass(slots=True)
class _Outcome:
    """Made before it is needed: to fill it in takes no memory."""

    returned: bool = False
    raised: BaseException | None = None


async def in_a_thread(run: Callable[[], None]) -> None:
    """Call `run` in a thread.

    Raises:
        RuntimeError: there can be no further thread, or it died without a word.
        BaseException: what `run` raised.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    outcome = _Outcome()
    with _started(run, outcome) as ended, trio.CancelScope(shield=True):
        await trio.lowlevel.wait_readable(ended)
    failure, outcome.raised = outcome.raised, None
    if failure is not None:
        try:
            raise failure
        finally:
            # Or its frames and it would hold each other.
            del failure
    if not outcome.returned:
        raise RuntimeError("the listener's thread died without a word: is there no memory left?")


def _started(run: Callable[[], None], outcome: _Outcome) -> socket.socket:
    """Start the thread; what is returned becomes readable when it has ended."""
    ended, end = socket.socketpair()
    try:
        ended.setblocking(False)
        _thread.start_new_thread(_run, (run, outcome, end))
    except BaseException:
        ended.close()
        end.close()
        raise
    return ended


def _run(run: Callable[[], None], outcome: _Outcome, end: socket.socket) -> None:
    with end:
        try:
            # As `threading` does for its own: what measures coverage relies on it.
            sys.settrace(threading.gettrace())
            run()
            outcome.returned = True
        # Whatever it is, it is raised where somebody waits for this thread.
        except BaseException as error:  # noqa: ASYNC103, BLE001
            outcome.raised = error
