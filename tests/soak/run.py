"""One soak: steady writers, the bridge as a process, one fault after another; then quiet, and what came of it.

After each fault the run waits until every row that was committed when it ended has arrived, and one written then: that
is its recovery. All faults are drawn before any is drawn again. At the end the bridge is stopped gracefully, and the
table is held against what arrived. *Owns* writers, watch, Live server and bridge; ends all of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import trio
from psycopg import sql

from tests.chaos.bridges import BridgeProcess
from tests.chaos.run import FIELDS, wait_accepting, wait_all_delivered
from tests.chaos.sink import Sink, Verdict
from tests.chaos.writers import INSERT, SCHEMA, TABLE, Writer
from tests.soak.faults import ENDING, ROLE, SURVIVED, Injured, SoakFaults
from tests.soak.watch import Sample, Watch, secrets_told
from tests.soak.writers import LongWriter, SteadyWriter
from trio_bridge.config.names import parse_table
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install

RECOVERY_LIMIT_S = 30.0
"""Longest recovery from a fault. Guess: the longest wait of ours is that for credentials that were refused."""

STEADY_WRITERS = 4

PASSWORD = "never-to-be-told"
"""Nobody asks for it; it must show nowhere."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        seconds: of faults.
        seed: decides writers, faults and moments.
        rate: rows a second.
        every_s: from one fault to the next.
        scale: of the time that faults last, and long transactions.
        kills: whether the bridge's process is ended too.
        faults: instead of all.
    """

    seconds: float
    seed: int = 1
    rate: float = 500.0
    every_s: float = 60.0
    scale: float = 1.0
    kills: bool = True
    faults: tuple[str, ...] = ()


@dataclass(slots=True)
class Incident:
    """One fault and what followed, until the next.

    Attributes:
        name: of the fault.
        at_s: when, since the start.
        lasted_s: from its beginning to its end.
        recovered_s: from its end until all that was committed by then had arrived, and a row written then; None: not
            within the limit.
        owed: rows committed and not arrived when it ended, that one included.
        duplicates: rows that came again.
        failures: runs of the route that failed, or were killed.
        slowest_commit_s: of the writers, long transactions left out.
    """

    name: str
    at_s: float
    lasted_s: float = 0.0
    recovered_s: float | None = None
    owed: int = 0
    duplicates: int = 0
    failures: int = 0
    slowest_commit_s: float = 0.0


@dataclass(slots=True)
class Outcome:
    """All that was seen.

    Attributes:
        plan: what was done.
        verdict: table against arrivals.
        incidents: in their order; the first is the time before any fault.
        samples: one a second.
        violations: what must never be.
        repeated_in_vain: rows that came again after a checkpoint that covered them.
        looks: at the checkpoint.
        scrapes: of the metrics.
        metrics: of the last scrape.
        secrets_told: where a secret stood.
        crashes: log records of bugs.
        exit_code: of the graceful stop.
        failed_writers: what they died of.
        quiet_fds: file descriptors before the first fault and after the last.
    """

    plan: Plan
    verdict: Verdict
    incidents: list[Incident]
    samples: list[Sample]
    violations: list[str]
    repeated_in_vain: int
    looks: int
    scrapes: int
    metrics: dict[str, float]
    secrets_told: list[str]
    crashes: list[dict[str, object]]
    exit_code: int
    failed_writers: list[str]
    quiet_fds: tuple[int, int]


def draw(plan: Plan) -> Iterator[str]:
    """Names of faults, without end: all of them in a random order, then all again in another."""
    names = plan.faults or (SURVIVED + ENDING if plan.kills else SURVIVED)
    chooser = random.Random(plan.seed)
    while True:
        yield from chooser.sample(names, len(names))


async def run_soak(
    plan: Plan, server: EmbeddedPostgres, dbname: str, directory: Path, *, tell: Callable[[str], None]
) -> Outcome:
    """Run `plan` in the empty database `dbname` of `server`; `tell` gets a line for each fault."""
    dsn = server.dsn(dbname)
    role = sql.Identifier(ROLE)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SCHEMA)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    install(dsn, parse_table(TABLE), routes=[TABLE], role=ROLE)
    sink = Sink()
    async with LiveServer(on_message=sink) as live:
        bridge = BridgeProcess(
            server.dsn(dbname, ROLE, password=PASSWORD),
            live,
            directory,
            table=TABLE,
            fields=",".join(FIELDS),
            http_listen="127.0.0.1:0",
        )
        bridge.start()
        try:
            await live.wait_connections(1)
            world = Injured(server, dsn, live, bridge)
            return await _Soak(plan, world, sink, directory / "bridge.log", tell).run()
        finally:
            if bridge.alive:
                bridge.kill()


class _Soak:
    def __init__(
        self, plan: Plan, world: Injured, sink: Sink, log: Path, tell: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._world = world
        self._sink = sink
        self._log = log
        self._tell = tell
        self._watch = Watch(world.dsn, world.bridge, sink)
        self._steady = [
            SteadyWriter(world.dsn, plan.seed * 1000 + number, rate=plan.rate / STEADY_WRITERS)
            for number in range(STEADY_WRITERS)
        ]
        self._long = LongWriter(
            world.dsn,
            plan.seed * 1000 + 999,
            open_s=(5 * plan.scale, 20 * plan.scale),
            pause_s=60 * plan.scale,
        )
        self._incidents: list[Incident] = []
        self._noted = _Totals()

    @property
    def _writers(self) -> Sequence[Writer]:
        return [*self._steady, self._long]

    async def run(self) -> Outcome:
        bridge = self._world.bridge
        self._watch.start()
        for writer in self._writers:
            writer.start()
        before = await self._make_faults()
        failed_writers = await trio.to_thread.run_sync(self._stop_writers)
        await wait_all_delivered(self._world.dsn, TABLE, self._sink, limit_s=60)
        self._close_incident()
        after = bridge.open_files()
        told = secrets_told(
            [self._world.live.token, PASSWORD],
            log=self._log,
            pid=bridge.pid,
            metrics=self._watch.metrics_text,
        )
        exit_code = await bridge.terminate()
        await trio.to_thread.run_sync(self._watch.finish)
        return Outcome(
            plan=self._plan,
            verdict=await trio.to_thread.run_sync(self._compare),
            incidents=self._incidents,
            samples=self._watch.samples,
            violations=self._watch.violations,
            repeated_in_vain=self._watch.repeated_in_vain,
            looks=self._watch.looks,
            scrapes=self._watch.scrapes,
            metrics=self._watch.metrics,
            secrets_told=told,
            crashes=[record for record in bridge.log() if record["event"] == "route_crashed"],
            exit_code=exit_code,
            failed_writers=failed_writers,
            quiet_fds=(before, after),
        )

    async def _make_faults(self) -> int:
        """All of them; returns the file descriptors that were open before the first."""
        plan = self._plan
        chooser = random.Random(plan.seed)
        faults = SoakFaults(self._world, seed=plan.seed, scale=plan.scale)
        names = draw(plan)
        start = due = trio.current_time()
        self._incidents.append(Incident("(none yet)", 0.0, recovered_s=0.0))
        fds = 0
        while (due := due + plan.every_s) <= start + plan.seconds:
            await self._lull()
            fds = fds or self._world.bridge.open_files()
            # Somewhere in the first half of what is left of its time.
            await trio.sleep(chooser.uniform(0, max(0.0, due - trio.current_time()) / 4))
            self._close_incident()
            incident = Incident(next(names), trio.current_time() - start)
            self._incidents.append(incident)
            await self._suffer(faults, incident)
            self._tell_of(incident)
            await trio.sleep_until(due)
        await trio.sleep_until(start + plan.seconds)
        return fds

    async def _suffer(self, faults: SoakFaults, incident: Incident) -> None:
        began = trio.current_time()
        await getattr(faults, incident.name)()
        ended = trio.current_time()
        incident.lasted_s = ended - began
        if not self._world.bridge.alive:
            raise AssertionError(f"the bridge has ended: {self._world.bridge.log()[-3:]}")
        await trio.to_thread.run_sync(self._write_one)
        owed = await trio.to_thread.run_sync(self._watch.owed)
        incident.owed = len(owed)
        with trio.move_on_after(RECOVERY_LIMIT_S):
            while owed := [key for key in owed if not self._sink.times(key)]:
                await trio.sleep(0.02)
            incident.recovered_s = trio.current_time() - ended

    def _write_one(self) -> None:
        """Where nothing is owed, this row tells when rows arrive again."""
        wait_accepting(self._world.dsn)
        with psycopg.connect(self._world.dsn, autocommit=True) as connection:
            connection.execute(INSERT, (0, 0.0, "after the fault"))

    async def _lull(self) -> None:
        """A time in which rows are rare, so that the bridge listens instead of asking."""
        for writer in self._steady:
            writer.rate /= 100
        await trio.sleep(self._plan.every_s / 8)
        for writer in self._steady:
            writer.rate *= 100

    def _close_incident(self) -> None:
        """What happened since the last call belongs to the last incident."""
        bridge = self._world.bridge
        incident = self._incidents[-1]
        now = _Totals(
            self._sink.duplicates,
            sum(record["event"] in ("route_failed", "route_crashed") for record in bridge.log()),
        )
        incident.duplicates = now.duplicates - self._noted.duplicates
        incident.failures = now.failures - self._noted.failures + (incident.name == "kill_bridge")
        incident.slowest_commit_s = max(writer.slowest_commit_s for writer in self._steady)
        for writer in self._steady:
            writer.slowest_commit_s = 0.0
        self._noted = now

    def _tell_of(self, incident: Incident) -> None:
        last = self._watch.samples[-1]
        recovered = "NOT" if incident.recovered_s is None else f"{incident.recovered_s:.2f} s"
        self._tell(
            f"{incident.at_s:6.0f} s  {incident.name:18} {incident.lasted_s:6.1f} s, {incident.owed:6} rows owed, "
            f"recovered {recovered}; {self._sink.rows} rows, {self._sink.duplicates} duplicates, "
            f"RSS {last.rss_kib / 1024:.1f} MiB, {last.fds} files"
        )

    def _stop_writers(self) -> list[str]:
        for writer in self._writers:
            writer.stop()
        for writer in self._writers:
            writer.join()
        return [repr(writer.failure) for writer in self._writers if writer.failure is not None]

    def _compare(self) -> Verdict:
        with psycopg.connect(self._world.dsn) as connection:
            return self._sink.compare(connection, TABLE)


@dataclass(frozen=True, slots=True)
class _Totals:
    duplicates: int = 0
    failures: int = 0
