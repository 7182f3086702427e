"""One schedule: the bridge between its two models, writers, faults for a while; then quiet, in which it must converge.

    chaos      writers write, faults happen
    calm       no fault any more; writers go on until there are rows enough
    quiet      nobody writes: every committed row must arrive within `Plan.converge_s`
    rest       what is acknowledged is checkpointed, panels show the last rows
    stop       SIGTERM to every replica: nothing may be left

*Owns* everything of the schedule; all of it ends with `World.run`.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from functools import partial

import trio

from tests.simulation.faults import Faults, Names
from tests.simulation.live import LiveModel
from tests.simulation.network import Way
from tests.simulation.plan import Plan
from tests.simulation.postgres import Cluster, ModelServer
from tests.simulation.process import Bridge
from tests.simulation.settings import MEASUREMENT, ROUTE, settings_of
from tests.simulation.times import Times
from tests.simulation.trace import Trace
from tests.simulation.writers import Writer

WAL_WRITER_S = 0.2
LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Outcome:
    seed: int
    rows: int
    lost: int
    phantoms: int
    duplicates: int
    recovery_s: float
    faults: Counter[str]
    violations: list[str]


class World:
    def __init__(self, plan: Plan, trace: Trace) -> None:
        self._plan = plan
        self._trace = trace
        self._violations: list[str] = []

    async def run(self) -> Outcome:
        plan = self._plan
        seeded = lambda what: random.Random(f"{what} {plan.seed}")
        times = Times()
        cluster = self._cluster = Cluster(
            next_xid=seeded("xid").randint(3, 2_000), synchronous_commit=plan.asynchronous < 1, prepares=plan.prepares
        )
        cluster.trigger = plan.trigger
        server = self._server = ModelServer(cluster, times, lock_timeout_s=plan.heartbeat_s)
        cluster.add_route(ROUTE, earliest=plan.earliest)
        names = Names()
        trio.socket.set_custom_hostname_resolver(names)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(times.run)
            live = self._live = LiveModel(
                nursery, seeded("grafana"), latency_s=plan.grafana_s, service_s=plan.service_s
            )
            ways = [Way(plan.postgres_s, seeded(f"way {n}")) for n in range(plan.replicas)]
            settings = settings_of(plan)
            bridges = [Bridge(n, settings, server, live, way) for n, way in enumerate(ways)]
            restart = seeded("restart")
            for bridge in bridges:
                nursery.start_soon(bridge.run, partial(restart.uniform, 0.0, 1.0))
            writers = [Writer(cluster, plan, n) for n in range(plan.writers)]
            faults = Faults(seeded("faults"), self._trace, server=server, live=live, bridges=bridges, ways=ways, names=names)
            nursery.start_soon(self._flush)
            async with trio.open_nursery() as writing:
                for writer in writers:
                    writing.start_soon(writer.run)
                with trio.move_on_after(plan.chaos_s):
                    async with trio.open_nursery() as chaos:
                        chaos.start_soon(self._chaos, faults, chaos)
                live.calm()
                self._trace.note("world", "calm")
                while len(cluster.ever) < plan.rows:
                    await trio.sleep(LOOK_S)
                writing.cancel_scope.cancel()
            self._trace.note("world", "quiet")
            end = trio.current_time()
            while True:
                await trio.sleep(LOOK_S)
                got = Counter((r.key) for d in live.processed if not d.keyframe for r in d.rows)
                want = {str(r.id) for r in cluster.committed()}
                if want <= set(got) or trio.current_time() > end + 90:
                    break
            rec = trio.current_time() - end
            await trio.sleep(3)
            for b in bridges:
                b.terminate()
            for b in bridges:
                await b.wait_ended()
            got = Counter((r.key) for d in live.processed if not d.keyframe for r in d.rows)
            out = Outcome(plan.seed, len(want), len(want - set(got)), 0, sum(got.values()) - len(got), rec, faults.made, faults.overdue + self._trace.crashes)
            nursery.cancel_scope.cancel()
        return out

    async def _flush(self):
        while True:
            await trio.sleep(WAL_WRITER_S)
            self._cluster.flush()

    async def _chaos(self, faults: Faults, nursery: trio.Nursery) -> None:
        plan = self._plan
        rng = random.Random(f"chaos {plan.seed}")
        if not plan.faults:
            return
        names, weights = list(plan.faults), list(plan.faults.values())
        while True:
            await trio.sleep(rng.expovariate(1 / plan.fault_every_s))
            (name,) = rng.choices(names, weights)
            nursery.start_soon(faults.happen, name)
