"""The oracle's far side: what the Live server processed, row by row, kept small enough for millions of rows.

For each key the digest of what arrived and how often. The near side is the table itself: `compare` reads its committed
rows with a plain SELECT, which shares nothing with the bridge, and says what is missing, altered, invented or twice.
Rows that keyframes repeat do not count: neither as arrived nor as twice.
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass

import psycopg

from trio_bridge.live.intake import Delivery
from trio_bridge.live.keyframes import DeltaFilter


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison found; all are rows."""

    committed: int
    lost: int
    phantoms: int
    altered: int
    duplicates: int

    def __str__(self) -> str:
        return (
            f"{self.committed} committed, {self.lost} lost, {self.phantoms} phantoms, "
            f"{self.altered} altered, {self.duplicates} duplicates"
        )


class Sink:
    """Takes deliveries; the route must send the fields id, value and note."""

    def __init__(self) -> None:
        self._digests: dict[int, int] = {}
        self._again: Counter[int] = Counter()
        self._new = DeltaFilter()

    def __call__(self, delivery: Delivery) -> None:
        for point in self._new(delivery):
            fields = point.fields
            key = int(fields["id"])
            if key in self._digests:
                self._again[key] += 1
            self._digests[key] = _digest(point.time_ns, fields["value"], fields["note"])

    @property
    def rows(self) -> int:
        """Different rows that have arrived."""
        return len(self._digests)

    @property
    def duplicates(self) -> int:
        """Arrivals beyond the first."""
        return self._again.total()

    def times(self, key: int) -> int:
        """How often row `key` has arrived; 0: not yet."""
        return self._again[key] + 1 if key in self._digests else 0

    def compare(self, connection: psycopg.Connection, table: str) -> Verdict:
        """Hold the arrivals against the committed rows of `table`."""
        committed = lost = altered = found = 0
        with connection.transaction(), connection.cursor("oracle") as cursor:
            cursor.itersize = 20_000
            cursor.execute(
                f"SELECT id, (extract(epoch FROM timestamp) * 1000000)::bigint, value, note FROM {table}"
            )
            for key, micros, value, note in cursor:
                committed += 1
                digest = self._digests.get(key)
                if digest is None:
                    lost += 1
                else:
                    found += 1
                    altered += digest != _digest(micros * 1000, value, note or "")
        return Verdict(committed, lost, len(self._digests) - found, altered, self.duplicates)


def _digest(time_ns: int | None, value: object, note: object) -> int:
    number = None if value in (None, "NaN") else float(value)  # type: ignore[arg-type]
    return zlib.crc32(f"{time_ns}|{number!r}|{note}".encode())
