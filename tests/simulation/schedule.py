"""A seed → what came of its schedule. One at a time in a process: it takes over the process' clocks and chance."""

from __future__ import annotations

import trio

from tests.simulation.determinism import determined
from tests.simulation.outcome import Outcome
from tests.simulation.plan import plan_of
from tests.simulation.settings import limits_of
from tests.simulation.trace import Trace
from tests.simulation.world import run_world


def run_schedule(seed: int, trace: Trace) -> Outcome:
    """Run the schedule of `seed`."""
    plan = plan_of(seed)
    with determined(seed) as clock, limits_of(plan), trace.of_the_program():
        return trio.run(run_world, plan, trace, clock, clock=clock)
