"""Everything that differs from run to run, made a function of the seed: time, chance, and the order of Trio's tasks.

Inside `determined` the process has one clock, a virtual one; the program's own (`time.monotonic`, `time.time_ns`) show
it too. Chance has one source. Trio shuffles the tasks that are ready at the same moment: the seed decides how. Left,
everything is as it was. Owns nothing; one at a time in a process.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import trio

from tests.simulation.clock import Clock
from trio_bridge.handover import Outlet

EPOCH_NS: Final = 1_700_000_000_000_000_000
"""The wall clock at virtual second 0, ns since 1970."""


@contextmanager
def determined(seed: int) -> Iterator[Clock]:
    """Yields the clock to give to `trio.run`."""
    clock = Clock()
    source = random.Random(f"the program's chance, {seed}")
    now = clock.current_time
    state = random.getstate()
    with ExitStack() as stack:
        for thing, name, instead in (
            (time, "monotonic", now),
            (time, "time", lambda: EPOCH_NS / 1e9 + now()),
            (time, "time_ns", lambda: EPOCH_NS + round(now() * 1e9)),
            (os, "urandom", source.randbytes),
            (secrets, "token_bytes", source.randbytes),
            (random, "Random", _seeded_by(source)),
            (Outlet, "put", _told_to(clock, Outlet.put)),
            # What Trio does under Hypothesis, for the same reason.
            (trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
            (trio._core._run, "_r", random.Random(f"the order of tasks, {seed}")),
        ):
            stack.callback(setattr, thing, name, getattr(thing, name))
            setattr(thing, name, instead)
        stack.callback(random.setstate, state)
        random.seed(f"the module's functions, {seed}")
        yield clock


def _told_to(clock: Clock, put: Callable[[Outlet[Any], Any], None]) -> Callable[[Outlet[Any], Any], None]:
    """`Outlet.put`, which writes to a descriptor."""

    def telling(outlet: Outlet[Any], item: Any) -> None:
        clock.let_trio_look()
        put(outlet, item)

    return telling


def _seeded_by(source: random.Random) -> Callable[..., random.Random]:
    """`random.Random`, whose instances without a seed of their own take one from `source`."""
    original = random.Random

    def seeded(*seed: Any) -> random.Random:
        return original(*(seed or (source.getrandbits(64),)))

    return seeded
