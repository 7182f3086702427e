"""Kill -9, start, kill -9, …: what a crash of the bridge costs, row by row.

A steady writer, a bridge process, and a life of random length: every other one is counted from the start of the
process, so that it may end before it has begun, the rest from its first new row. After each kill the checkpoint is
read as the dead bridge left it, with SQL that shares nothing with the bridge. What it covers must have arrived before
and must never arrive again; what it does not cover may come twice. So duplicates are not only few: they are exactly
rows after the last written checkpoint.
"""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import trio

from tests.chaos.run import queue_usage, wait_all_delivered
from tests.chaos.sink import Sink, Verdict
from tests.load.measure import TABLE, SteadyWriter, World, bridge_world
from trio_bridge.live.intake import Delivery

LIVE_LIMIT_S = 30.0
"""Longest wait for the first new row after a start; only a bridge that is broken takes so long."""

# What the checkpoint says has been delivered, of the rows that an earlier look at it did not see finished.
COVERED = f"""
SELECT pg_snapshot_xmin(c.snapshot)::text, t.id
FROM trio_bridge.checkpoint c
LEFT JOIN {TABLE} t ON t.txid >= %s::text::xid8 AND (
    pg_visible_in_snapshot(t.txid, c.snapshot)
    OR pg_visible_in_snapshot(t.txid, c.target) AND (t.txid, t.id) <= (c.after_txid, c.after_key[1]::bigint)
)
"""

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'trio_bridge %'"


@dataclass(slots=True)
class Report:
    """What came of it.

    Attributes:
        verdict: table against arrivals, at the end.
        lives: of the bridge, each ended by kill -9.
        live_s: from the start of the process to the first new row, of those that got so far.
        duplicates: rows that came again in the life after each kill.
        again: rows that arrived after a checkpoint had covered them; must be 0.
        early: rows that a checkpoint covered before they had arrived; must be 0.
        queue_usage: the most that the notification queue was filled, 0 to 1.
        settled_s: from the last start until everything had arrived.
    """

    verdict: Verdict = field(default_factory=lambda: Verdict(0, 0, 0, 0, 0))
    lives: int = 0
    live_s: list[float] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    again: int = 0
    early: int = 0
    queue_usage: float = 0.0
    settled_s: float = 0.0

    def figures(self) -> dict[str, float]:
        """For the page."""
        return {
            "kills": self.lives,
            "committed_rows": self.verdict.committed,
            "duplicates_mean": round(statistics.mean(self.duplicates), 1),
            "duplicates_max": max(self.duplicates),
            "restart_to_live_median_s": round(statistics.median(self.live_s), 2),
            "restart_to_live_max_s": round(max(self.live_s), 2),
        }

    def __str__(self) -> str:
        return (
            f"{self.verdict}\n  {self.figures()}, {len(self.live_s)} lives delivered something new, covered and "
            f"delivered again: {self.again}, covered and not delivered: {self.early}, notification queue at most "
            f"{self.queue_usage:.4%}, settled in {self.settled_s:.1f} s"
        )


class Witness:
    """Stands beside the sink: knows what may not arrive any more, and says when something new did."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        # How often each row had arrived when a checkpoint covered it.
        self._covered: dict[int, int] = {}
        self._oldest_open = "0"
        self.news = trio.Event()

    def __call__(self, delivery: Delivery) -> None:
        before = self._sink.rows
        self._sink(delivery)
        if self._sink.rows > before:
            self.news.set()

    def read_checkpoint(self, dsn: str) -> None:
        """Once the dead bridge's session has ended: note what its checkpoint covers."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            while connection.execute(SESSIONS).fetchone() != (0,):
                time.sleep(0.005)
            for oldest_open, key in connection.execute(COVERED, (self._oldest_open,)).fetchall():
                self._oldest_open = oldest_open
                if key is not None:
                    self._covered.setdefault(key, self._sink.times(key))

    @property
    def early(self) -> int:
        """Rows that were covered before they had arrived."""
        return sum(times == 0 for times in self._covered.values())

    @property
    def again(self) -> int:
        """Rows that arrived after they were covered."""
        return sum(self._sink.times(key) > times for key, times in self._covered.items())


async def run_cycles(
    dsn: str, directory: Path, *, kills: int, rate: float, seed: int = 1, longest_life_s: float = 2.0
) -> Report:
    """Kill a bridge `kills` times while `rate` rows a second are written, then let it converge.

    Raises:
        trio.TooSlowError: a bridge did not come to deliver anything.
    """
    report = Report()
    chance = random.Random(seed)
    async with bridge_world(dsn, directory) as world:
        witness = Witness(world.sink)
        world.live.on_message = witness
        writer = SteadyWriter(dsn, rate, rows=max(1, int(rate / 500)))
        writer.start()
        duplicates = 0
        for number in range(kills):
            await _live_and_die(
                world, witness, report, chance.uniform(0, longest_life_s), full=number % 2 == 1
            )
            await trio.to_thread.run_sync(witness.read_checkpoint, dsn)
            report.queue_usage = max(report.queue_usage, await trio.to_thread.run_sync(queue_usage, dsn))
            if number:
                report.duplicates.append(world.sink.duplicates - duplicates)
            duplicates = world.sink.duplicates
        began = time.monotonic()
        world.bridge.start()
        await trio.to_thread.run_sync(writer.finish)
        await wait_all_delivered(dsn, TABLE, world.sink, limit_s=60)
        report.settled_s = time.monotonic() - began
        assert await world.bridge.terminate() == 0
        report.duplicates.append(world.sink.duplicates - duplicates)
        report.verdict = world.verdict()
        report.again, report.early = witness.again, witness.early
    return report


async def _live_and_die(
    world: World, witness: Witness, report: Report, seconds: float, *, full: bool
) -> None:
    """One life; a `full` one is counted from its first new row."""
    witness.news = trio.Event()
    began = time.monotonic()
    world.bridge.start()
    if full:
        with trio.fail_after(LIVE_LIMIT_S):
            await witness.news.wait()
    ends_at = trio.current_time() + seconds
    with trio.move_on_at(ends_at):
        await witness.news.wait()
        report.live_s.append(time.monotonic() - began)
        await trio.sleep_until(ends_at)
    world.bridge.kill()
    report.lives += 1
