"""The ends of a range: what an operator may write, and what the column is compared with."""

from datetime import UTC, datetime, timedelta

import pytest

from trio_bridge.errors import ConfigError
from trio_bridge.replay.moments import bound, parse_moment

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("90s", NOW - timedelta(seconds=90)),
        ("1.5h", NOW - timedelta(minutes=90)),
        ("2d", NOW - timedelta(days=2)),
        ("2026-05-01T10:00:00Z", NOW - timedelta(hours=2)),
        ("2026-05-01 14:00+02:00", NOW),
        ("2026-05-01 12:00", NOW),
        ("2026-05-01", NOW - timedelta(hours=12)),
    ],
)
def test_an_instant_is_written_as_a_time_or_as_so_long_ago(text: str, moment: datetime) -> None:
    """Times with and without zone, durations back from now, and now itself."""
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "90", "-5m", "2026-13-01", "999999999d", "0s"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    """One sentence that quotes it and shows what to write."""
    with pytest.raises(ConfigError, match=r"is no time: write 2026-05-01T12:00:00Z"):
        parse_moment(text, NOW)


@pytest.mark.parametrize(
    ("column_type", "unit", "text"),
    [
        ("timestamptz", "s", "2026-05-01T12:00:00.250000+00:00"),
        ("timestamp", "s", "2026-05-01T12:00:00.250000"),
        ("date", "s", "2026-05-01T12:00:00.250000"),
        ("int4", "s", "1777636801"),
        ("int8", "ms", "1777636800250"),
        ("int8", "ns", "1777636800250000000"),
        ("float8", "s", "1777636800.25"),
        ("numeric", "us", "1777636800250000"),
    ],
)
def test_an_instant_is_given_in_the_columns_own_terms(column_type: str, unit: str, text: str) -> None:
    """Numbers count the route's unit; for whole numbers the next one is the first that is not before the instant."""
    assert bound(NOW + timedelta(milliseconds=250), column_type, unit) == text  # type: ignore[arg-type]
