"""Results survive the file, and tables hold each figure against what it must be held against."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from benchmarks import charts, comparison, report, results
from benchmarks.results import Machine, Results, Run

MACHINE = Machine(cpus=2, kernel="6", python="3", postgres="18", packages={}, commit="abc", load=0.1)


def _run(system: str, p50: float | None = 1.0, **figures: float | None) -> Run:
    return Run(
        case="latency",
        system=system,
        parameters={"rate": 100.0, "seconds": 1},
        figures=figures,
        latency_ms=[(50.0, p50), (99.0, None)],
    )


def _results(*runs: Run) -> Results:
    return Results(began=dt.datetime(2026, 11, 24, tzinfo=dt.UTC), machine=MACHINE, runs=list(runs))


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    """The file holds everything, infinite figures included."""
    saved = _results(_run("ours", lost=0, behind_s=None), _run("asyncpg", lost=3))
    path = tmp_path / "new" / "file.json"
    results.save(saved, path)
    assert results.read(path) == saved


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"runs": [{"case": "latency"}]}, {"machine": {"cpus": "two"}}, {"began": None}]
)
def test_what_is_no_result_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    """Another version, a run without figures, a wrong type."""
    path = tmp_path / "file.json"
    results.save(_results(_run("ours", lost=0)), path)
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | change))
    with pytest.raises(ValueError, match=r"version|missing|Expected"):
        results.read(path)


def test_the_results_that_are_kept_can_be_read() -> None:
    """Every file in benchmarks/results is of this version and says what it measured."""
    for path in results.DIRECTORY.glob("*.json"):
        assert results.read(path).runs


def test_the_baseline_is_the_best_peer() -> None:
    """Less is better or more is, as the figure says; ours and the floor are not peers; lost rows are not a baseline."""
    runs = [
        _run("ours", 0.5, rows_per_s=9, system_cpu_percent=1, lost=0),
        _run("floor", 0.1, rows_per_s=99, system_cpu_percent=0.1, lost=0),
        _run("asyncpg", 2.0, rows_per_s=5, system_cpu_percent=7, lost=0),
        _run("psycopg", None, rows_per_s=7, system_cpu_percent=5, lost=1),
    ]
    assert report.baseline("p50_ms", runs) == 2.0
    assert report.baseline("rows_per_s", runs) == 7
    assert report.baseline("system_cpu_percent", runs) == 5
    assert report.baseline("lost", runs) is None


def test_writers_are_held_against_their_own_speed() -> None:
    """Where nothing attached was measured too, speed is a share of that."""
    runs = [_run("none", rows_per_s=100), _run("ours", rows_per_s=85), _run("asyncpg", rows_per_s=26)]
    assert "| rows_per_s | 100 (1x) | 85 (0.85x) | 26 (0.26x) |" in report.table(runs)


def test_repeated_runs_are_told_by_their_medians() -> None:
    """An infinite one counts as the largest."""
    (run,) = report.merged([_run("ours", p50, behind_s=p50) for p50 in (3.0, None, 1.0)])
    assert run.figures["behind_s"] == 3.0
    assert run.latency_ms == [(50.0, 3.0), (99.0, None)]


def test_a_comparison_tells_the_change_and_the_ratios() -> None:
    """Twice as quick, and from twice the peer's time to the same; what only one file has is left out."""
    old = _results(_run("ours", 4.0), _run("asyncpg", 2.0), _run("psycopg", 9.0))
    new = _results(_run("ours", 2.0), _run("asyncpg", 2.0), _run("original", 5.0))
    lines = comparison.table(old, new).splitlines()
    assert "| latency rate=100.0 seconds=1 ours | p50_ms | 4 | 2 | 0.50 | 2x | 1x |" in lines
    assert not [line for line in lines if "psycopg" in line or "original" in line]


def test_charts_are_drawn_of_each_case(tmp_path: Path) -> None:
    """SVG files, the same bytes for the same results."""
    runs = [_run("ours", 4.0, messages_per_s=10), _run("asyncpg", 2.0, messages_per_s=100)]
    files = charts.draw(runs, tmp_path)
    assert [path.name for path in files] == ["latency-100.svg", "latency-100-messages_per_s.svg"]
    first = [path.read_text() for path in files]
    assert all("asyncpg" in text for text in first)
    assert [path.read_text() for path in charts.draw(runs, tmp_path)] == first
