"""Many seeds over all cores: a process runs one schedule at a time, because a schedule takes over its process' clock.

A schedule that fails in itself (an exception of the simulation's own, or no end within `HANG_S` of real time) counts as
one that broke a promise: silence is no success.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from tests.simulation.outcome import Outcome
from tests.simulation.schedule import run_schedule
from tests.simulation.trace import Trace

HANG_S = 120
"""Real seconds. One schedule takes about 0.3 of them."""

CHUNK = 8


class Hang(BaseException):
    """A schedule does not come to an end."""


def outcomes(seeds: Iterable[int], jobs: int) -> Iterator[Outcome]:
    """Run the schedules of `seeds` in `jobs` processes; in the order of the seeds."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_collect_seldom) as pool:
        yield from pool.map(outcome, seeds, chunksize=CHUNK)


def outcome(seed: int) -> Outcome:
    """Of one schedule, whatever happens in it."""
    try:
        with _limited():
            return run_schedule(seed, Trace())
    except (Exception, BaseExceptionGroup, Hang) as error:
        # Its end says most; all of it is shown with the trace.
        end = "".join(traceback.format_exception(error))[-1_500:]
        return Outcome(seed, 0, 0, 0, 0, 0.0, 0, 0, Counter(), 0.0, [f"the schedule itself failed: {end}"])


def _collect_seldom() -> None:
    """A schedule makes little garbage that hangs together; looking for it often costs a tenth of the time."""
    gc.freeze()
    gc.set_threshold(100_000)


@contextmanager
def _limited() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
