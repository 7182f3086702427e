"""The one table, ``public.live_metrics``: what is committed and visible, in the order of its index on (txid, id).

Every row has a number of its own that is never used again (`uid`): after a crash another row may come with the same id,
even with the same txid.
"""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from heapq import nlargest
from typing import Any, NamedTuple

_quoted = json.JSONEncoder(ensure_ascii=False).encode


class Point(NamedTuple):
    """What a writer gives.

    Attributes:
        timestamp: as Postgres prints it in JSON, e.g. ``2026-01-02T03:04:05.678+00:00``.
        value: between 1e-4 and 1e15, or 0, or negative: there Python and Postgres print the same digits.
        sensor: plain text.
    """

    timestamp: str
    value: float
    sensor: str | None = None


class Row:
    """One row, with the id of its top-level transaction."""

    __slots__ = ("_columns", "_text", "id", "point", "txid", "uid")

    def __init__(self, uid: int, txid: int, row_id: int, point: Point) -> None:
        self.uid = uid
        self.txid = txid
        self.id = row_id
        self.point = point
        self._columns: tuple[str, ...] = ()
        self._text = b""

    def __repr__(self) -> str:
        return f"Row(uid={self.uid}, txid={self.txid}, id={self.id}, {self.point})"

    def text(self, columns: tuple[str, ...]) -> bytes:
        """``row_to_json`` of some columns."""
        if columns != self._columns:
            self._columns = columns
            cells = {
                "id": str(self.id),
                "timestamp": f'"{self.point.timestamp}"',
                "value": repr(float(self.point.value)).removesuffix(".0"),
                "sensor": "null" if self.point.sensor is None else _quoted(self.point.sensor),
                "txid": f'"{self.txid}"',
            }
            self._text = ("{" + ",".join(f'"{name}":{cells[name]}' for name in columns) + "}").encode()
        return self._text


class Table:
    """Committed rows; a page costs its own rows and the transactions between, not the table."""

    def __init__(self) -> None:
        self._txids: list[int] = []
        self._rows: dict[int, list[Row]] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Rows become visible."""
        for row in rows:
            if row.txid not in self._rows:
                self._rows[row.txid] = []
                insort(self._txids, row.txid)
            insort(self._rows[row.txid], row, key=lambda one: one.id)

    def of(self, txid: int) -> list[Row]:
        """Those of one transaction, by id."""
        return self._rows.get(txid, [])

    def txids(self, start: int, end: int) -> list[int]:
        """Transactions with rows, start <= txid < end, rising."""
        return self._txids[bisect_left(self._txids, start) : bisect_left(self._txids, end)]

    def newest(self, limit: int, txids: Iterable[int], order: Callable[[Row], Any]) -> list[Row]:
        """The last rows in an order among some transactions', the very last first."""
        return nlargest(limit, (row for txid in txids for row in self.of(txid)), key=order)

    def __iter__(self) -> Iterator[Row]:
        for txid in self._txids:
            yield from self._rows[txid]
