"""Durations: what people write, in seconds, and nothing that only looks like one."""

import pytest

from trio_bridge.config.duration import parse_duration
from trio_bridge.errors import ConfigError


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("1d", 86_400),
        ("1.5h", 5400),
        ("90", 90),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_a_number_and_its_unit(duration: str | float, seconds: float) -> None:
    """A number alone counts seconds."""
    assert parse_duration(duration) == seconds


@pytest.mark.parametrize(
    "duration",
    ["", "s", "-1s", "1 h", "1w", "1h30m", "٣s", "1e3", "nan", "0s", 0, -1, float("inf"), float("nan")],
)
def test_anything_else_is_refused_with_examples(duration: str | float) -> None:
    """Also what is no time at all, or for ever."""
    with pytest.raises(ConfigError, match='"90s", "15m", "2h", "1d"'):
        parse_duration(duration)
