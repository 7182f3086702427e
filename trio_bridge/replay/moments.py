"""The two ends of a time range, as an operator writes them → instants → what Postgres compares a time column with.

    2026-05-01T12:00:00Z   2026-05-01 14:00+02   2026-05-01     an instant; without a zone it is UTC
    90s  15m  2h  1d                                            so long ago
    now

Pure: the present is an argument.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from trio_bridge.config.duration import parse_duration
from trio_bridge.decoder.mapping import TimeUnit
from trio_bridge.errors import ConfigError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}

# The type of a time column → the one that an end of the range is given in, such that an index on the column serves.
COMPARED_AS = {
    "timestamptz": "timestamptz",
    "timestamp": "timestamp",
    "date": "timestamp",
    "int2": "int8",
    "int4": "int8",
    "int8": "int8",
    "float4": "float8",
    "float8": "float8",
    "numeric": "numeric",
}


def parse_moment(text: str, now: datetime) -> datetime:
    """An instant in UTC.

    Raises:
        ConfigError: it is none.
    """
    if text == "now":
        return now
    try:
        # A number alone could as well be a year.
        if text[-1:] in {"s", "m", "h", "d"}:
            return now - timedelta(seconds=parse_duration(text))
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ConfigError, ValueError, OverflowError):
        raise ConfigError(
            f'{text!r} is no time: write 2026-05-01T12:00:00Z (without a zone it is UTC), "15m" for so long ago, or now'
        ) from None


def bound(moment: datetime, column_type: str, unit: TimeUnit) -> str:
    """`moment` as text of the type ``COMPARED_AS[column_type]``; a number counts `unit` since 1970."""
    compared_as = COMPARED_AS[column_type]
    if compared_as == "timestamptz":
        return moment.isoformat()
    if compared_as == "timestamp":
        return moment.replace(tzinfo=None).isoformat()
    since = moment - _EPOCH
    ns = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    count = Decimal(ns) / _NS_PER[unit]
    if compared_as == "int8":
        # An integer is at or after a moment if it is at or after the next whole number.
        count = count.to_integral_value(ROUND_CEILING)
    return f"{count:f}"
