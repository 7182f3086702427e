"""Percentiles: the recent ones exact, the overall ones within one percent, memory bounded."""

from __future__ import annotations

import math
import random

import pytest

from trio_bridge.demo.latency import RECENT, LatencyMeter


def test_no_duration_no_percentile() -> None:
    """Without a measurement there is no number to show."""
    meter = LatencyMeter()
    assert meter.recent(0.5) is None
    assert meter.overall(0.99) is None


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_percentiles_of_known_durations(share: float) -> None:
    """Nearest rank, exactly for the recent ones and to one percent for all."""
    source = random.Random(7)
    durations = [source.lognormvariate(-4, 1.5) for _ in range(1_500)]
    meter = LatencyMeter()
    for duration in durations:
        meter.add(duration)
    expected = sorted(durations)[max(1, math.ceil(share * len(durations))) - 1]
    assert meter.recent(share) == expected
    assert meter.overall(share) == pytest.approx(expected, rel=0.0101)


def test_recent_forgets_and_overall_remembers() -> None:
    """After many quick rows the slow start is gone from the recent percentile, not from the overall one."""
    meter = LatencyMeter()
    for _ in range(RECENT):
        meter.add(10.0)
    for _ in range(RECENT):
        meter.add(0.001)
    assert meter.recent(1.0) == 0.001
    assert meter.overall(1.0) == pytest.approx(10.0, rel=0.0101)


def test_negative_duration_is_the_least() -> None:
    """Two threads' clocks read in the other order do not break the books."""
    meter = LatencyMeter()
    meter.add(-0.5)
    assert meter.recent(0.5) == pytest.approx(1e-6)
