"""Seed after seed until a defect is found: whether a schedule breaks a promise, with the defect and without it.

The schedules are those of the simulation, shorter: a defect in reasoning does not need a thousand rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

import trio

from tests.simulation.defects.planting import Defect
from tests.simulation.determinism import determined
from tests.simulation.plan import Plan, plan_of
from tests.simulation.settings import limits_of
from tests.simulation.trace import Trace
from tests.simulation.world import run_world

ROWS = 400
CHAOS_S = 6.0


class Find(NamedTuple):
    """What found a defect.

    Attributes:
        seed: of the schedule.
        tried: how many schedules it took.
        broken: the first promise that was broken, and by what.
    """

    seed: int
    tried: int
    broken: str

    @property
    def promise(self) -> str:
        """Its name, without moment and detail."""
        return re.split(r" at \d|, |: ", self.broken)[0]


def short_plan_of(seed: int) -> Plan:
    """The plan of `seed`, with fewer rows."""
    plan = plan_of(seed)
    return replace(plan, rows=ROWS, chaos_s=min(plan.chaos_s, CHAOS_S))


def broken_by(seed: int, defect: Defect | None) -> list[str]:
    """The promises that the schedule of `seed` breaks, a sentence each."""
    plan, trace = short_plan_of(seed), Trace()
    with (
        nullcontext() if defect is None else defect.planted(),
        determined(seed) as clock,
        limits_of(plan),
        trace.of_the_program(),
    ):
        return trio.run(run_world, plan, trace, clock, clock=clock).violations


def hunt(defect: Defect, seeds: Iterable[int]) -> Find | None:
    """The first of `seeds` that finds it; None: they are blind for it."""
    for tried, seed in enumerate(seeds, 1):
        broken = broken_by(seed, defect)
        if broken and not (defect.beyond is not None and broken_by(seed, defect.beyond)):
            return Find(seed, tried, broken[0])
    return None
