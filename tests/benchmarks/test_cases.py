"""The whole harness, once, small: processes start, rows are followed to the sink, nothing is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import cases
from benchmarks.charts import draw
from benchmarks.staged_bridge import LEGS
from benchmarks.systems import SYSTEMS
from benchmarks.world import Bench
from benchmarks.writers import Load
from trio_bridge.demo.postgres import EmbeddedPostgres


@pytest.mark.parametrize("name", ["ours-pace0", "asyncpg"])
async def test_rows_are_followed_to_the_sink(pg: EmbeddedPostgres, tmp_path: Path, name: str) -> None:
    """Ours and a peer: every row arrives, after it was due, and its cost is told."""
    run = await cases.latency(Bench(pg, tmp_path), SYSTEMS[name], Load(2, 200, connections=2))
    assert run.figures["rows"] == 400
    assert run.figures["lost"] == 0
    assert all(ms is not None and ms > 0 for _, ms in run.latency_ms)
    for figure in ("system_cpu_us_per_row", "messages_per_s", "rss_mib", "postgres_cpu_us_per_row"):
        value = run.figures[figure]
        assert value is not None
        assert value > 0


async def test_the_legs_of_a_rows_way_are_told_and_drawn(pg: EmbeddedPostgres, tmp_path: Path) -> None:
    """Each leg has taken time, and together, without the pong, about what the bridge counts from bell to message."""
    run = await cases.stages(Bench(pg, tmp_path), SYSTEMS["ours-pace0"], Load(2, 50, connections=2))
    medians = [run.figures[f"{leg}_p50_ms"] for leg in LEGS]
    assert all(ms is not None and ms > 0 for ms in medians)
    mean = run.figures["bell_to_push_mean_ms"]
    assert mean is not None
    assert sum(ms for ms in medians[:-1] if ms is not None) < 2 * mean
    assert [path.name for path in draw([run], tmp_path / "charts")] == [
        "stages-50-1.svg",
        "stages-50-1-legs.svg",
    ]


async def test_a_listener_has_lost_what_was_written_before(pg: EmbeddedPostgres, tmp_path: Path) -> None:
    """Rows that cannot arrive are told as lost, and the case ends."""
    run = await cases.catch_up(Bench(pg, tmp_path), SYSTEMS["asyncpg"], 10)
    assert run.figures["lost"] == 10
    assert run.figures["from_start_s"] is None


async def test_writers_alone_are_measured_too(pg: EmbeddedPostgres, tmp_path: Path) -> None:
    """Their speed, and nothing that only a system has."""
    run = await cases.writers(Bench(pg, tmp_path), None, Load(1, connections=2, rows=10))
    speed = run.figures["rows_per_s"]
    assert speed is not None
    assert speed > 0
    assert "lost" not in run.figures


async def test_the_sink_counts_what_was_sent() -> None:
    """Each message is stamped after it was sent, and none is missing."""
    run = await cases.sink(messages=200, lines=50, rate=1_000)
    assert run.figures["messages_per_s"] == pytest.approx(1_000, rel=0.1)
    stamp = run.figures["stamp_p50_ms"]
    assert stamp is not None
    assert stamp > 0
