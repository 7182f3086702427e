"""No row is lost, whatever writers do and whatever befalls the bridge; without failures none comes twice.

Short editions of ``python -m tests.chaos``, with smaller COPYs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.__main__ import SCENARIOS
from tests.chaos.run import Report, run_chaos
from tests.chaos.sink import Sink
from tests.pg import Database
from trio_bridge.demo.postgres import EmbeddedPostgres

SMALL_BULK = (2_000, 20_000)


@pytest.fixture
def durable() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own that may be crashed; it syncs, so that a crash loses what a crash may lose."""
    with EmbeddedPostgres(fsync=True) as server:
        server.create_database("chaos")
        yield server


def assert_nothing_lost(report: Report) -> None:
    verdict = report.verdict
    assert (verdict.lost, verdict.phantoms, verdict.altered) == (0, 0, 0), str(report)
    assert verdict.committed > 1000, "the writers hardly wrote: this run proves nothing"
    assert report.queue_usage < 0.01


@pytest.mark.fault(132)
@pytest.mark.deadline(120)
async def test_mode_flipped_at_random_changes_nothing_that_is_delivered(
    database: Database, tmp_path: Path
) -> None:
    """Without failures, each committed row arrives exactly once, whatever the mode at whatever moment."""
    plan = replace(SCENARIOS["flip"], seconds=6, bulk_rows=SMALL_BULK)
    report = await run_chaos(plan, database.server, database.dsn, tmp_path)
    assert_nothing_lost(report)
    assert report.verdict.duplicates == 0
    assert report.restarts == 0
    assert report.flips > 10


@pytest.mark.deadline(120)
async def test_no_trigger_at_all_loses_nothing(database: Database, tmp_path: Path) -> None:
    """The table is the truth: without any bell, each row arrives exactly once."""
    plan = replace(SCENARIOS["no-trigger"], seconds=4, bulk_rows=SMALL_BULK)
    report = await run_chaos(plan, database.server, database.dsn, tmp_path)
    assert_nothing_lost(report)
    assert report.verdict.duplicates == 0


@pytest.mark.deadline(150)
@pytest.mark.parametrize("scenario", ["faults", "kill"])
@pytest.mark.fault(1)
async def test_faults_lose_nothing(durable: EmbeddedPostgres, tmp_path: Path, scenario: str) -> None:
    """Killed sessions, crashes, Grafana restarts, cuts and kill -9 lose no row and invent none."""
    plan = replace(SCENARIOS[scenario], seconds=8, bulk_rows=SMALL_BULK, fault_every_s=(0.5, 1.5))
    report = await run_chaos(plan, durable, durable.dsn("chaos"), tmp_path)
    assert_nothing_lost(report)
    assert report.faults.total() >= 3


async def test_the_oracle_can_fail(database: Database) -> None:
    """A row that never arrived is called lost, so that a run without losses means something."""
    database.execute(
        'CREATE TABLE t (id int, "timestamp" timestamptz DEFAULT now(), value float8, note text)'
    )
    database.execute("INSERT INTO t VALUES (1, now(), 1, 'x')")
    with database.connect() as connection:
        verdict = Sink().compare(connection, "t")
    assert verdict.lost == 1
