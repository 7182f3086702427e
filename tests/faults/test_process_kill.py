"""kill -9: nothing is lost, and what comes twice is what the last written checkpoint did not cover."""

from __future__ import annotations

import signal
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from tests.chaos.cycles import run_cycles
from tests.faults.failing_bridge import POINTS, PROGRAM, failing
from tests.faults.processes import BUSY, bridge_process
from tests.faults.readings import readings
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.demo.postgres import EmbeddedPostgres

# Whole processes, on processors that others use too.
pytestmark = pytest.mark.deadline(90)

KILLED_AT = list(POINTS)[:6]


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
    report = await run_cycles(durable.dsn("cycles"), tmp_path, kills=200 if full_length else 4, rate=2000)
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
    async with readings(database.dsn, repeats=True) as world:
        world.insert(5_000)
        before = world.checkpoint()
        async with bridge_process(world, tmp_path, *failing(point, "kill", armed), program=PROGRAM) as bridge:
            assert await bridge.wait_exit() == -signal.SIGKILL
            assert not armed.exists()
        # What it had begun on the server's side, the server ends; and what is in the sockets the Live server reads.
        assert not await trio.to_thread.run_sync(database.wait_no_sessions)
        await wait_until(lambda: not world.live.faults.peers)
        saved = world.checkpoint() != before
        assert saved is (point == "in the checkpoint's statement")
        sent = world.sink.rows
        async with bridge_process(world, tmp_path) as bridge:
            await world.wait_all()
            assert await bridge.terminate() == 0
        assert world.sink.duplicates <= sent
        if point in KILLED_AT[:2]:
            assert sent == 0
        if point.startswith("after"):
            assert (world.sink.duplicates > 0) is (point != "after LISTEN")
