"""kill -9: nothing is lost, and what comes twice is what the last written checkpoint did not cover."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from tests.chaos.cycles import run_cycles
from tests.chaos.run import wait_all_delivered
from tests.faults.failing_bridge import POINTS, PROGRAM, failing
from tests.faults.processes import BUSY
from tests.load.measure import TABLE, bridge_world
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.demo.postgres import EmbeddedPostgres

KILLED_AT = list(POINTS)[:6]
CHECKPOINT = "SELECT snapshot::text, target::text, after_txid::text, after_key FROM trio_bridge.checkpoint"


@pytest.fixture
def durable() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, whose commits wait for the disk."""
    with EmbeddedPostgres(fsync=True) as server:
        server.create_database("cycles")
        yield server


@pytest.mark.fault(1)
@pytest.mark.deadline(1200)
@pytest.mark.timeout(1260)
async def test_killed_at_random_moments_under_load(
    durable: EmbeddedPostgres, tmp_path: Path, figures: Callable[..., None], full_length: bool
) -> None:
    """Killed again and again under 2,000 rows/s: none lost, none twice that a checkpoint covered, live again in 2 s."""
    report = await run_cycles(durable.dsn("cycles"), tmp_path, kills=200 if full_length else 5, rate=2000)
    verdict = report.verdict
    assert (verdict.lost, verdict.phantoms, verdict.altered) == (0, 0, 0), str(report)
    assert (report.again, report.early) == (0, 0), str(report)
    assert report.queue_usage < 0.01
    assert statistics.median(report.live_s) < 2 * BUSY, str(report)
    figures(**report.figures())


@pytest.mark.fault(2)
@pytest.mark.parametrize("point", KILLED_AT)
async def test_killed_at_a_named_point(database: Database, tmp_path: Path, point: str) -> None:
    """Killed where it hurts, it loses nothing; only what was sent and not yet checkpointed comes twice."""
    armed = tmp_path / "armed"
    armed.touch()
    rows = 5_000
    async with bridge_world(database.dsn, tmp_path, program=PROGRAM) as world:
        world.execute(f"INSERT INTO {TABLE} (value, note) SELECT g, 'x' FROM generate_series(1, {rows}) g")
        before = database.execute(CHECKPOINT)
        world.bridge.start(*failing(point, "kill", armed))
        assert await world.bridge.wait_exit() == -9
        assert not armed.exists()
        # What it had begun on the server's side, the server ends.
        assert not await trio.to_thread.run_sync(database.wait_no_sessions)
        saved = database.execute(CHECKPOINT) != before
        assert saved is (point == "in the checkpoint's statement")
        # And what is in the sockets' buffers the Live server reads.
        await wait_until(lambda: not world.live.faults.peers)
        sent = world.sink.rows
        world.bridge.start(*failing(point, "kill", armed))
        await wait_all_delivered(database.dsn, TABLE, world.sink, limit_s=20)
        assert await world.bridge.terminate() == 0
        verdict = world.verdict()
        assert (verdict.lost, verdict.phantoms, verdict.altered) == (0, 0, 0), str(verdict)
        assert verdict.duplicates <= sent
        if point in KILLED_AT[:2]:
            assert sent == 0
        if point.startswith("after"):
            assert (verdict.duplicates > 0) is (point != "after LISTEN")
