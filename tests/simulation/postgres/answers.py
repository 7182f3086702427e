"""What the statements of the bridge answer, each executed in one instant on a `Backend`.

A handler gets the backend and the parameters' texts and returns rows of texts. The semantics are those of the SQL files
of the package, written down again in Python.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

from tests.simulation.postgres.backend import Backend
from tests.simulation.postgres.cluster import Cluster
from tests.simulation.postgres.rows import Row
from tests.simulation.postgres.xids import View
from trio_bridge.postgres.delta import MAX_ROW_BYTES
from trio_bridge.postgres.position import Span
from trio_bridge.postgres.queries import SCHEMA_VERSION

Params = Sequence[str | None]
Answer = list[tuple[bytes | None, ...]]
Handler = Callable[[Backend, Params], Answer]

VOID = b""
"""The text of a function's result of type void."""

CATALOGUE = [
    ("id", "int8", "bigint", "1"),
    ("timestamp", "timestamptz", "timestamp with time zone", None),
    ("value", "float8", "double precision", None),
    ("sensor", "text", "text", None),
    ("txid", "xid8", "xid8", None),
]
"""Columns of the table as `install` makes it, in order."""


def row(*cells: object) -> tuple[bytes | None, ...]:
    """As the wire has it."""
    return tuple(
        None if cell is None else (b"t" if cell else b"f") if isinstance(cell, bool) else str(cell).encode()
        for cell in cells
    )


class Answers:
    """The handlers of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def nothing(self, _: Backend, __: Params) -> Answer:
        """SET."""
        return []

    def one(self, _: Backend, __: Params) -> Answer:
        """SELECT 1."""
        return [(b"1",)]

    def cluster(self, _: Backend, __: Params) -> Answer:
        cluster = self._cluster
        return [row(cluster.system_identifier, False, cluster.prepares, True, True, cluster.timeline)]

    def version(self, _: Backend, __: Params) -> Answer:
        return [row(SCHEMA_VERSION)]

    def look(self, _: Backend, params: Params) -> Answer:
        """``table.sql``."""
        if tuple(params) != ("public", "live_metrics"):
            return []
        return [row(self._cluster.oid, "r", True, False, True, self._cluster.trigger)]

    def catalogue(self, _: Backend, params: Params) -> Answer:
        self._check_oid(params[0])
        return [row(*column) for column in CATALOGUE]

    def time_index(self, _: Backend, params: Params) -> Answer:
        self._check_oid(params[0])
        return [row(self._cluster.time_index)]

    def checkpoint_read(self, backend: Backend, params: Params) -> Answer:
        found = self._cluster.take_over(backend, _text(params[0]))
        if found is None:
            return []
        key = None if found.after_key is None else json.dumps(found.after_key, separators=(",", ":"))
        position = (found.epoch, found.snapshot, found.target, found.after_txid, key)
        return [row(*position, found.system_identifier, 1)]

    def checkpoint_write(self, backend: Backend, params: Params) -> Answer:
        name, epoch, snapshot, target, after_txid, after_key = params
        position = (
            _text(snapshot),
            target,
            None if after_txid is None else int(after_txid),
            None if after_key is None else tuple(json.loads("[" + after_key[1:-1] + "]")),
        )
        found = self._cluster.write_checkpoint(backend, _text(name), int(_text(epoch)), position)
        return [] if found is None else [row(found.epoch)]

    def next_xid(self, _: Backend, __: Params) -> Answer:
        return [row(self._cluster.snapshot().xmax)]

    def probe(self, backend: Backend, params: Params) -> Answer:
        view = self._cluster.snapshot()
        oldest = None if view.xmin == view.xmax else view.xmin
        return [row(0, _text(params[0]) in backend.listening, oldest)]

    def gate_take(self, backend: Backend, params: Params) -> Answer:
        self._check_oid(params[0])
        return [row(backend.draw() if backend.try_gate() else None)]

    def gate_free(self, backend: Backend, _: Params) -> Answer:
        return [row(backend.free_gate())]

    def gate_holder(self, _: Backend, params: Params) -> Answer:
        self._check_oid(params[0])
        holders = self._cluster.locks.holders(self._cluster.gate)
        return [row(", ".join(map(str, holders)) if holders else None)]

    def unlisten(self, backend: Backend, _: Params) -> Answer:
        backend.unlisten()
        return []

    def listen(self, channel: str) -> Handler:
        def handler(backend: Backend, _: Params) -> Answer:
            backend.listen(channel)
            return []

        return handler

    def try_lock(self, key: tuple[int, int]) -> Handler:
        return lambda backend, _: [row(backend.try_lock(key))]

    def delta(self, span: Span, columns: tuple[str, ...]) -> Handler:
        """One page; see ``delta.sql`` and its scans."""

        def handler(_: Backend, params: Params) -> Answer:
            target = params[0]
            view = self._cluster.snapshot() if target is None else View.parse(target)
            rows = chain.from_iterable(self._scans(span, params, view))
            page: Answer = [(None, None, str(view).encode())]
            for found in islice(rows, int(_text(params[1]))):
                text = found.text(columns)
                page.append(
                    (b"%d" % found.txid, b"%d" % found.id, text if len(text) <= MAX_ROW_BYTES else None)
                )
            return page

        return handler

    def history(self, columns: tuple[str, ...], *, by_time: bool, inside_delta: bool) -> Handler:
        """The newest delivered rows by time or id."""

        def order(found: Row) -> tuple[str, int]:
            # Of equal times PostgreSQL may give any.
            return found.point.timestamp if by_time else "", found.id

        def handler(_: Backend, params: Params) -> Answer:
            seen = View.parse(_text(params[0]))
            table = self._cluster.table
            limit = int(_text(params[-1]))
            delivered = [txid for txid in table.txids(0, seen.xmax) if seen.sees(txid)]
            rows = table.newest(limit, delivered, order)
            if inside_delta:
                target = View.parse(_text(params[1]))
                after = (int(_text(params[2])), int(_text(params[3])))
                upto = [txid for txid in table.txids(0, after[0] + 1) if target.sees(txid)]
                more = [found for txid in upto for found in table.of(txid) if (found.txid, found.id) <= after]
                rows = sorted({*rows, *more}, key=order, reverse=True)[:limit]
            return [(str(found.id).encode(), found.text(columns)) for found in rows]

        return handler

    def _scans(self, span: Span, params: Params, view: View) -> Iterator[Iterator[Row]]:
        """The index scans of a page, in their order."""
        after = (0, 0)
        if span is not Span.FIRST:
            after = (int(_text(params[-2])), int(_text(params[-1])))
        if span is Span.AHEAD:
            yield self._after(after, view)
            yield self._of(self._cluster.table.txids(after[0] + 1, view.xmax), view)
            return
        if span is Span.IN_FLIGHT:
            yield self._after(after, view)
        in_flight = _text(params[2])[1:-1]
        yield self._of(sorted(map(int, in_flight.split(","))) if in_flight else [], view)
        yield self._of(self._cluster.table.txids(int(_text(params[3])), view.xmax), view)

    def _after(self, after: tuple[int, int], view: View) -> Iterator[Row]:
        """The rest of a transaction."""
        txid, last = after
        if view.sees(txid):
            yield from (found for found in self._cluster.table.of(txid) if found.id > last)

    def _of(self, txids: list[int], view: View) -> Iterator[Row]:
        for txid in txids:
            if view.sees(txid):
                yield from self._cluster.table.of(txid)

    def _check_oid(self, oid: str | None) -> None:
        assert oid == str(self._cluster.oid), f"the bridge asks for table {oid}"


def _text(param: str | None) -> str:
    assert param is not None
    return param
