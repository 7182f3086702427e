"""What Postgres' texts mean, read for the oracle alone: snapshots, a checkpoint's place, a row as Grafana must show it.

Shares no code with the product, and repeats its rules in as few words as they have. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tests.simulation.live import Row as Shown
from tests.simulation.postgres import CheckpointRow, Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Seen(NamedTuple):
    """A snapshot's text, read."""

    xmax: int
    running: frozenset[int]

    @classmethod
    def read(cls, text: str) -> Seen:
        _, xmax, running = text.split(":")
        return cls(int(xmax), frozenset(int(xid) for xid in running.split(",") if xid))

    def has(self, xid: int) -> bool:
        """Whether transaction `xid` had ended."""
        return xid < self.xmax and xid not in self.running

    def includes(self, other: Seen) -> bool:
        """Whether whatever had ended for `other` has ended here."""
        return self.xmax >= other.xmax and all(
            xid in other.running for xid in self.running if xid < other.xmax
        )


class Place(NamedTuple):
    """What a checkpoint says is delivered."""

    seen: Seen
    target: Seen | None
    after: tuple[int, int]

    @classmethod
    def read(cls, row: CheckpointRow) -> Place:
        if row.target is None:
            return cls(Seen.read(row.snapshot), None, (0, 0))
        assert row.after_txid is not None
        assert row.after_key is not None
        (key,) = row.after_key
        return cls(Seen.read(row.snapshot), Seen.read(row.target), (row.after_txid, int(key)))

    def covers(self, row: Row) -> bool:
        if self.seen.has(row.txid):
            return True
        return self.target is not None and self.target.has(row.txid) and (row.txid, row.id) <= self.after

    def follows(self, before: Place) -> bool:
        """Whether it covers whatever `before` covers."""
        if before.target is None or self.seen.includes(before.target):
            return self.seen.includes(before.seen)
        return (self.seen, self.target) == (before.seen, before.target) and self.after >= before.after


def as_line(row: Row) -> Shown:
    """How Grafana must read a row of the fields id, value and sensor."""
    point = row.point
    fields: list[tuple[str, float | str]] = []
    if point.sensor:
        # A text that is just NaN would turn its column into numbers.
        fields.append(("sensor", "NaN " if point.sensor == "NaN" else point.sensor))
    fields.append(("value", float(point.value)))
    time_us = (datetime.fromisoformat(point.timestamp) - _EPOCH) // _MICROSECOND
    return Shown(str(row.id), time_us * 1_000, tuple(fields))
