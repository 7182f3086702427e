"""What the bridge promises to those who write, to the machine it runs on, and over its own restarts.

Short editions of ``python -m tests.load``. Bounds of memory, messages and statements are asserted; times are not.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.sink import Verdict
from tests.load import measure
from tests.pg import Database


def assert_exactly_once(verdict: Verdict, least: int) -> None:
    assert (verdict.lost, verdict.phantoms, verdict.altered, verdict.duplicates) == (0, 0, 0, 0), str(verdict)
    assert verdict.committed >= least


@pytest.mark.deadline(90)
async def test_writers_do_not_notice_that_grafana_is_away(database: Database, tmp_path: Path) -> None:
    """With Grafana gone the notification queue stays empty and memory flat; afterwards every row arrives."""
    figures = await measure.live_server_away(database.dsn, tmp_path, seconds=8, rate=2_000)
    assert figures.verdict.lost == 0
    assert figures.verdict.committed > 8_000
    assert figures.queue_usage < 0.001
    assert max(figures.rss_kib) < figures.rss_before_kib + 16 * 1024


@pytest.mark.deadline(90)
async def test_a_backlog_is_worked_off_in_flat_memory(database: Database, tmp_path: Path) -> None:
    """The backlog is the table, not the bridge's memory; nothing of it comes twice."""
    figures = await measure.backlog(database.dsn, tmp_path, rows=150_000)
    assert_exactly_once(figures.verdict, 150_000)
    assert figures.peak_rss_kib < 150 * 1024


@pytest.mark.deadline(90)
@pytest.mark.fault(3)
async def test_a_graceful_restart_leaves_no_trace(database: Database, tmp_path: Path) -> None:
    """SIGTERM in the middle of 5,000 rows/s and a new start: no row lost, none twice."""
    verdict = await measure.restart_under_load(database.dsn, tmp_path, rate=5_000, restarts=2, gap_s=1.0)
    assert_exactly_once(verdict, 5_000)


@pytest.mark.deadline(60)
async def test_idle_costs_next_to_nothing(database: Database, tmp_path: Path) -> None:
    """An idle route asks Postgres about twice a second, at most four times, and sends keyframes at most."""
    figures = await measure.steady(database.dsn, tmp_path, seconds=5, rate=0)
    assert figures.statements_per_s is not None
    assert 1.0 < figures.statements_per_s <= 4.5
    assert figures.messages_per_s <= 0.5


@pytest.mark.deadline(60)
async def test_a_thousand_rows_a_second_are_ten_messages(database: Database, tmp_path: Path) -> None:
    """What the browser must draw is bounded by the pace, not by the rows."""
    figures = await measure.steady(database.dsn, tmp_path, seconds=5, rate=1_000)
    assert figures.rows_per_s > 500, "the writer could not keep up: this run proves nothing"
    assert 5 < figures.messages_per_s <= 12
