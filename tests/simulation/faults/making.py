"""What all faults share: the chance that decides them, the clock that ends them, and what is noted of them."""

from __future__ import annotations

import random
from collections import Counter

import trio

from tests.simulation.trace import Trace


class Making:
    """See the module.

    Args:
        rng: decides moments and sizes.
        trace: told.

    Attributes:
        random: the same generator.
        made: how many of each kind really happened.
        overdue: what did not end in the time promised, a sentence each.
    """

    def __init__(self, rng: random.Random, trace: Trace) -> None:
        self.random = rng
        self.made: Counter[str] = Counter()
        self.overdue: list[str] = []
        self._trace = trace

    def note(self, name: str, **details: object) -> None:
        """One of them happens now."""
        self.made[name] += 1
        self._trace.note("fault", name, **details)

    async def last(self, least_s: float, most_s: float) -> None:
        """Let it last."""
        await trio.sleep(self.random.uniform(least_s, most_s))
