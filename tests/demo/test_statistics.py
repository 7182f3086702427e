"""Rates follow the count of the last seconds."""

from __future__ import annotations

import msgspec
import pytest

from trio_bridge.demo.statistics import DemoStatistics, Rate


def test_rate_needs_two_moments() -> None:
    """One count is no rate."""
    rate = Rate()
    assert rate(5.0, 100) == 0.0
    assert rate(5.0, 100) == 0.0
    assert rate(6.0, 150) == 50.0


def test_steady_count_gives_its_rate() -> None:
    """A count that grows by 30 every quarter of a second is 120 a second."""
    rate = Rate()
    assert [rate(step / 4, step * 30) for step in range(40)][1:] == pytest.approx([120.0] * 39)


def test_rate_forgets() -> None:
    """Two seconds after the count stopped the rate is zero, whatever was before."""
    rate = Rate()
    for step in range(20):
        rate(step / 4, step * 1_000)
    shown = [rate(4.75 + step / 4, 19_000) for step in range(1, 12)]
    assert shown[0] > shown[3] > 0
    assert shown[-1] == 0.0


def test_statistics_travel_as_json() -> None:
    """The page gets every attribute under its own name."""
    sent = msgspec.json.decode(msgspec.json.encode(DemoStatistics(committed=7)))
    assert sent["committed"] == 7
    assert sent["latency_p50_ms"] is None
    assert set(sent) == set(DemoStatistics.__dataclass_fields__)
