"""The verdict's words: clean is said plainly, and nothing wrong goes unsaid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trio_bridge.demo.audit import Verdict
from trio_bridge.demo.statistics import DemoStatistics
from trio_bridge.demo.summary import Summary

CLEAN = Summary(
    moment=DemoStatistics(
        phase="done", elapsed_s=30.2, delivered=15_000, duplicates=919, restarts=5, uncertain=7
    ),
    verdict=Verdict(committed=15_000, missing=0, phantom=0, duplicates=919),
    in_table=15_000,
    unacknowledged=0,
    balanced=True,
    latency_p50_ms=58.94,
    latency_p99_ms=1_345.91,
)


def test_clean_run() -> None:
    """Every row arrived: exit code 0, the figures, and the sentence."""
    assert CLEAN.exit_code == 0
    text = [" ".join(line.split()) for line in CLEAN.lines()]
    assert text == [
        "committed 15,000 rows in the table, after 30 s (7 were cut off before the server answered)",
        "acknowledged 15,000",
        "delivered 15,000",
        "lost 0",
        "duplicates 919",
        "restarts 5 of the bridge's route",
        "latency 58.9 / 1345.9 ms, commit → viewer, p50 / p99",
        "Every committed row arrived.",
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"verdict": Verdict(15_000, 2, 0, 0)}, "2 committed rows never arrived"),
        ({"verdict": Verdict(15_000, 0, 3, 0)}, "3 rows arrived that are not in the table"),
        ({"verdict": Verdict(15_000, 0, 0, 0, altered=4)}, "4 rows arrived changed"),
        ({"unacknowledged": 5}, "5 committed rows were not acknowledged"),
        ({"moment": replace(CLEAN.moment, rejected=6)}, "6 rows were rejected"),
        ({"balanced": False}, "the bridge's books do not close"),
    ],
)
def test_each_fault_fails_the_run(change: dict[str, Any], sentence: str) -> None:
    """Whatever is wrong is said, and alone suffices for exit code 1."""
    summary = replace(CLEAN, **change)
    assert summary.exit_code == 1
    assert summary.lines()[-1] == f"WRONG: {sentence}"
    assert "Every committed row arrived." not in summary.lines()


def test_foreign_grafana_is_not_asked() -> None:
    """Without the stand-in nobody knows what was published, and the summary does not pretend to."""
    summary = replace(CLEAN, verdict=None, latency_p50_ms=None, latency_p99_ms=None)
    words = {line.split()[0] for line in summary.lines()}
    assert words.isdisjoint({"delivered", "lost", "latency"})
    assert summary.exit_code == 0


def test_nothing_written_is_no_success_story() -> None:
    """A run without a row is not praised."""
    summary = replace(CLEAN, in_table=0, verdict=Verdict(0, 0, 0, 0), moment=DemoStatistics(phase="done"))
    assert summary.lines()[-1] == "Nothing was written."
