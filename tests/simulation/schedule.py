"""A seed → what came of its schedule. One at a time in a process: it takes over the process' clocks and chance."""

from __future__ import annotations

import trio

from tests.simulation.determinism import determined
from tests.simulation.plan import plan_of
from tests.simulation.settings import limits_of
from tests.simulation.trace import Trace
from tests.simulation.world import Outcome, World


def run_schedule(seed: int) -> tuple[Outcome, Trace]:
    """Run the schedule of `seed`."""
    plan, trace = plan_of(seed), Trace()
    with determined(seed) as clock, limits_of(plan), trace.of_the_program():
        outcome = trio.run(World(plan, trace).run, clock=clock)
    return outcome, trace

if __name__ == "__main__":
    import sys, time
    t = time.perf_counter()
    tot = 0
    for s in range(int(sys.argv[1]), int(sys.argv[2])):
        t0 = time.perf_counter()
        o, tr = run_schedule(s)
        print(s, round(time.perf_counter() - t0, 2), o.rows, "lost", o.lost, "dup", o.duplicates, "rec", round(o.recovery_s, 2), dict(o.faults), o.violations)
        if len(sys.argv) > 3: print(tr.render())
    print("s/schedule", (time.perf_counter() - t) / (int(sys.argv[2]) - int(sys.argv[1])))
