"""One schedule: the bridge between its two models, writers, faults for a while; then quiet, in which it must converge.

    chaos      writers write, faults happen
    calm       no fault any more; writers go on until there are rows enough
    quiet      nobody writes: every committed row must arrive within `Plan.converge_s`
    rest       what is acknowledged is checkpointed; the bridge is deployed anew in the flow, panels show the last rows
    stop       SIGTERM to every replica: nothing may be left

*Owns* everything of the schedule; all of it ends with `World.run`.
"""

from __future__ import annotations

import random
from collections.abc import Hashable
from functools import partial

import trio

from tests.simulation.books import Books
from tests.simulation.clock import Clock
from tests.simulation.faults import DRAIN_S, BridgeFaults, Faults, GrafanaFaults, Making, PostgresFaults
from tests.simulation.live import LiveModel
from tests.simulation.network import Names, Way
from tests.simulation.oracle import Oracle
from tests.simulation.outcome import Outcome
from tests.simulation.plan import Plan
from tests.simulation.postgres import Cluster, ModelServer
from tests.simulation.process import Bridge
from tests.simulation.settings import MEASUREMENT, ROUTE, settings_of
from tests.simulation.trace import Trace
from tests.simulation.witness import Witness
from tests.simulation.writers import Writer

WAL_WRITER_S = 0.2
"""The server's WAL writer flushes what was committed asynchronously this often (``wal_writer_delay``)."""

LOOK_S = 0.05
"""How often the world looks whether something that it waits for is so."""

REST_S = 6.0
"""Checkpoint (1 s), keyframe (5 s at the latest) and probes are over by then."""


class World:
    """See the module; to be made within Trio.

    Args:
        plan: of the schedule.
        trace: told.
        clock: of the schedule.
        nursery: for what it owns.
    """

    def __init__(self, plan: Plan, trace: Trace, clock: Clock, nursery: trio.Nursery) -> None:
        self._plan = plan
        self._trace = trace
        self._nursery = nursery
        self._cluster = cluster = Cluster(
            next_xid=self._seeded("xids").randint(3, 2_000),
            synchronous_commit=plan.asynchronous < 1,
            prepares=plan.prepares,
        )
        cluster.trigger = plan.trigger
        cluster.time_index = plan.time_index
        cluster.add_route(ROUTE, earliest=plan.earliest)
        self._server = ModelServer(cluster, clock, lock_timeout_s=plan.heartbeat_s)
        self._live = LiveModel(
            nursery,
            self._seeded("grafana"),
            buffer_bytes=plan.buffer_bytes,
            latency_s=plan.grafana_s,
            service_s=plan.service_s,
        )
        ways = [Way(plan.postgres_s, self._seeded(f"way {number}")) for number in range(plan.replicas)]
        settings = settings_of(plan)
        self._bridges = [
            Bridge(number, settings, self._server, self._live, clock=clock, latency=way)
            for number, way in enumerate(ways)
        ]
        self._writers = [Writer(cluster, plan, number, trace) for number in range(plan.writers)]
        self._oracle = Oracle(cluster, ROUTE, self._owner)
        self._live.observers.append(self._oracle)
        self._witness = Witness(trace, cluster, self._live, self._owner)
        self._books = Books(plan, self._bridges, self._oracle)
        names = Names()
        trio.socket.set_custom_hostname_resolver(names)
        self._making = Making(self._seeded("faults"), trace)
        self._faults = Faults(
            PostgresFaults(self._making, self._server, ways, names),
            BridgeFaults(self._making, self._bridges),
            GrafanaFaults(self._making, self._live),
        )
        restart = self._seeded("restart")
        nursery.start_soon(self._write_wal)
        nursery.start_soon(self._books.run)
        for bridge in self._bridges:
            bridge.on_drained = self._oracle.check_drained
            nursery.start_soon(bridge.run, partial(restart.uniform, 0.0, 1.0))

    async def run(self) -> Outcome:
        """All phases."""
        plan, cluster, oracle = self._plan, self._cluster, self._oracle
        async with trio.open_nursery() as writing:
            for writer in self._writers:
                writing.start_soon(writer.run)
            with trio.move_on_after(plan.chaos_s):
                await self._make_faults()
            self._live.calm()
            self._trace.note("world", "calm")
            while len(cluster.ever) < plan.rows or len(cluster.committed()) < plan.rows:
                await trio.sleep(LOOK_S)
            writing.cancel_scope.cancel()
        self._trace.note("world", "quiet", rows=len(cluster.committed()))
        recovery_s = await self._converge()
        self._trace.note("world", "rest")
        await trio.sleep(REST_S)
        self._books.look()
        self._books.at_rest(sessions=len(self._server.connections))
        oracle.check_saved()
        await self._deploy()
        await self._stop()
        oracle.check_saved()
        return Outcome(
            seed=plan.seed,
            rows=len(cluster.committed()),
            lost=len(oracle.lost()),
            phantoms=sum(violation.promise == "phantom" for violation in oracle.violations),
            duplicates=oracle.repeated,
            recovery_s=recovery_s,
            runs=cluster.checkpoint(ROUTE).epoch,
            mode_changes=sum(bridge.mode_changes for bridge in self._bridges),
            faults=self._making.made,
            virtual_s=trio.current_time(),
            violations=self._violations(),
        )

    async def _converge(self) -> float:
        """Wait until every row of the table is delivered; returns how long it took, seconds."""
        began = trio.current_time()
        with trio.move_on_after(self._plan.converge_s):
            while self._oracle.lost():
                await self._witness.wait_processed()
        self._oracle.check_lost()
        return trio.current_time() - began

    async def _deploy(self) -> None:
        """Stop the bridge while rows flow and start it anew: nothing is left, and a viewer sees the last rows."""
        async with trio.open_nursery() as writing:
            for writer in self._writers:
                writing.start_soon(writer.run)
            await trio.sleep(LOOK_S)
            await self._stop()
            writing.cancel_scope.cancel()
        await self._converge()
        await trio.sleep(REST_S)
        if most := self._plan.history_rows:
            shown = self._live.panel(MEASUREMENT).shown
            self._oracle.check_panel(shown, most, exact=self._plan.time_index)

    async def _stop(self) -> None:
        """Every replica is told to stop, and must, with nothing left."""
        self._trace.note("world", "stop")
        undrained = sum(bridge.undrained for bridge in self._bridges)
        ends = [bridge.terminate() for bridge in self._bridges]
        with trio.move_on_after(DRAIN_S):
            for end in ends:
                await end.wait()
            self._oracle.check_saved()
            if left := sum(bridge.undrained for bridge in self._bridges) - undrained:
                self._making.overdue.append(f"{left} rows are left by a stop in quiet")
            return
        self._making.overdue.append("somebody does not stop in quiet")

    def _violations(self) -> list[str]:
        broken = [
            f"{violation.promise} at {violation.at:.6f}: {violation.detail}"
            for violation in self._oracle.violations
            # Whose locks were thrown away by a pooler may be followed by somebody else while it lives.
            if violation.promise != "two leaders" or not self._making.made["discard_all"]
        ]
        return broken + self._books.violations + self._making.overdue + self._trace.crashes

    # What happens in it.

    async def _make_faults(self) -> None:
        """Draw one after the other, until cancelled."""
        plan, rng = self._plan, self._seeded("chaos")
        if not plan.faults:
            await trio.sleep_forever()
        names, weights = list(plan.faults), list(plan.faults.values())
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(rng.expovariate(1 / plan.fault_every_s))
                (name,) = rng.choices(names, weights)
                nursery.start_soon(self._faults.happen, name)

    async def _write_wal(self) -> None:
        # Where every commit is flushed, there is nothing left to do.
        if not self._plan.asynchronous:
            return
        while True:
            await trio.sleep(WAL_WRITER_S)
            self._cluster.flush()

    def _seeded(self, what: str) -> random.Random:
        """A source of chance of its own, so that more of one thing does not change another."""
        return random.Random(f"{what} {self._plan.seed}")

    def _owner(self, pid: int) -> Hashable:
        for bridge in self._bridges:
            if pid in bridge.sessions:
                return bridge.sessions[pid]
        raise AssertionError(f"no replica has session {pid}")


async def run_world(plan: Plan, trace: Trace, clock: Clock) -> Outcome:
    """The schedule of `plan`, from nothing to nothing."""
    async with trio.open_nursery() as nursery:
        outcome = await World(plan, trace, clock, nursery).run()
        nursery.cancel_scope.cancel()
    return outcome
