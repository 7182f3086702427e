"""Units: from a name that tells, and only from one that tells."""

from __future__ import annotations

import pytest

from trio_bridge.grafana.units import scale_of, unit_of


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("temperature", "celsius"),
        ("temp_c", "celsius"),
        ("duration_ms", "ms"),
        ("durationMs", "ms"),
        ("latency_us", "µs"),
        ("DiskBytes", "bytes"),
        ("cpu_percent", "percent"),
        ("hit_ratio", "percentunit"),
        ("powerKW", "kwatt"),
        ("pressure_hPa", None),
        ("pressure_hpa", "pressurehpa"),
        ("power_phase_2", None),
        ("temperature2", "celsius"),
        ("value", None),
        ("s", None),
        ("class", None),
        ("status", None),
        ("", None),
        ("温度", None),
    ],
)
def test_the_last_word_tells(column: str, unit: str | None) -> None:
    """A quantity or a unit at the end of a name gives the unit; any other name gives none."""
    assert unit_of(column) == unit


def test_scales_that_stand_still() -> None:
    """A share has its ends; anything else goes as far as the data."""
    assert scale_of("percent") == (0, 100)
    assert scale_of("percentunit") == (0, 1)
    assert scale_of("celsius") is None
    assert scale_of(None) is None
