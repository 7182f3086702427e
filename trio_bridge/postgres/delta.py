"""The delta of one table: "the rows that the last position had not seen", page by page.

Builds the three statements that a page may need (which one is `Position.span`'s word) for a table with any key, binds a
`Position` to their parameters, and reads the answer into a `Delta`. Owns nothing: the listener runs it on its session.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from psycopg import pq, sql

from trio_bridge.config.names import TableName
from trio_bridge.errors import ConfigError, SourceError
from trio_bridge.postgres.position import Position, RowMark, Snapshot, Span
from trio_bridge.postgres.queries import raw, statement
from trio_bridge.postgres.session import from_wire

PAGE_ROWS: Final = 2_000
"""Most rows of a page. Measured: 4 to 5 ms a page, flat over a million rows."""

FIRST_PAGE_ROWS: Final = 16
"""Rows of the first page, and least of any: nothing is known of their size yet, and Postgres must build them all."""

GROWTH: Final = 16
"""How much larger than the last one a page may be: 16, 256, 2,000. Guess."""

PAGE_BYTES: Final = 1 << 20
"""Bytes of row text after which the rest of a page is left to the next one; keeps memory flat for wide rows."""

MAX_ROW_BYTES: Final = 96 * 1024
"""Row text above this is not fetched: no line of at most 64 KiB can come of it."""


@dataclass(frozen=True, slots=True)
class Key:
    """The primary key.

    Attributes:
        columns: in key order.
        types: SQL names of their types, as the server writes them.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """One page.

    Attributes:
        rows: JSON texts; None: larger than `MAX_ROW_BYTES`.
        keys: one text per row, different for each row of the table.
        position: what is delivered once these rows are.
        more: whether further rows wait.
        horizon: xmin of the snapshot.
    """

    rows: Sequence[bytes | None]
    keys: Sequence[str]
    position: Position
    more: bool
    horizon: int


class DeltaReader:
    """The statements of one table, and how many rows to ask for next."""

    def __init__(self, table: TableName, key: Key, columns: Iterable[str]) -> None:
        self._key = key
        self._limit = FIRST_PAGE_ROWS
        self.statements = {span: _statement(span, table, key, tuple(columns)) for span in Span}

    def params(self, position: Position) -> list[str | None]:
        """What to bind for the page after `position`.

        Raises:
            ConfigError: it names a row by another primary key than the table has now.
        """
        params: list[str | None] = [
            None if position.target is None else str(position.target),
            str(self._limit),
        ]
        if position.span is not Span.AHEAD:
            done = 0 if position.after is None else position.after.txid
            params.append("{" + ",".join(str(xid) for xid in position.snapshot.xip if xid > done) + "}")
            params.append(str(position.snapshot.xmax))
        if position.after is not None:
            if len(position.after.key) != len(self._key.columns):
                raise ConfigError(
                    "the primary key was changed in the middle of a delta: set target, after_txid and after_key of "
                    "the checkpoint to NULL in trio_bridge.checkpoint (repeats the rows of that delta)"
                )
            params += [str(position.after.txid), *position.after.key]
        return params

    def read(self, position: Position, results: Iterable[pq.abc.PGresult]) -> Delta:
        """Read the answer to the page after `position`.

        Raises:
            SourceError: the answer does not follow the position.
        """
        rows: list[bytes | None] = []
        keys: list[str] = []
        size = 0
        target: Snapshot | None = None
        last: RowMark | None = None
        asked, cut = self._limit, False
        width = len(self._key.columns)
        for result in results:
            get = result.get_value
            first = 0
            if target is None:
                target = Snapshot.parse(_text(get(0, width + 1)))
                first = 1
            end = result.ntuples
            for row in range(first, end):
                if size >= PAGE_BYTES:
                    # Read off the wire and forgotten: the next page asks for fewer.
                    cut, end = True, row
                    break
                text = get(row, width + 1)
                # A row that was too large to be fetched cost Postgres at least that much.
                size += MAX_ROW_BYTES if text is None else len(text)
                rows.append(text)
            if first == end:
                continue
            if width == 1:
                keys += [_text(get(row, 1)) for row in range(first, end)]
            else:
                keys += [
                    key_text([_text(get(row, 1 + part)) for part in range(width)])
                    for row in range(first, end)
                ]
            mark = end - 1
            last = RowMark(
                int(_text(get(mark, 0))), tuple(_text(get(mark, 1 + part)) for part in range(width))
            )
        if target is None:
            raise SourceError("the delta returned no snapshot")
        more = cut or len(rows) >= asked
        if rows:
            fitting = PAGE_BYTES * len(rows) // max(size, 1)
            self._limit = max(FIRST_PAGE_ROWS, min(PAGE_ROWS, GROWTH * asked, fitting))
        return Delta(rows, keys, position.advanced(target, last, more=more), more, target.xmin)


def _text(value: bytes | None) -> str:
    if value is None:
        raise SourceError("the delta returned a row without a key")
    return from_wire(value)


def key_text(parts: Sequence[str]) -> str:
    """A row's key as one text, different for each row of the table."""
    if len(parts) == 1:
        return parts[0]
    # ('a, b', 'c') is not ('a', 'b, c').
    return ", ".join(part.replace("\\", "\\\\").replace(",", "\\,") for part in parts)


def row_source(table: TableName, columns: Iterable[str]) -> tuple[sql.Identifier, sql.Composed]:
    """A name for a row of `table` reduced to its txid and `columns`, and the sub-select that makes it."""
    read = tuple(dict.fromkeys(("txid", *columns)))
    # Not the name of a column: that is what row_to_json would take it for.
    d = next(name for number in count() if (name := f"d{number}") not in read)
    rows = raw("(SELECT {columns} FROM {table})").format(
        columns=sql.SQL(", ").join(map(sql.Identifier, read)), table=sql.Identifier(table.schema, table.name)
    )
    return sql.Identifier(d), rows


def _statement(span: Span, table: TableName, key: Key, columns: tuple[str, ...]) -> str:
    d, rows = row_source(table, (*key.columns, *columns))
    named = raw(", ").join(sql.Composed([d, raw("."), sql.Identifier(column)]) for column in key.columns)
    # A statement numbers only the parameters that it uses: an unused one would have no type.
    first_after = 3 if span is Span.AHEAD else 5
    last = raw(f"${first_after}::xid8")
    after = [last, *(raw(f"${first_after + 1 + part}::{name}") for part, name in enumerate(key.types))]
    beyond = raw("({d}.txid, {key}) > ({after})").format(d=d, key=named, after=sql.SQL(", ").join(after))
    limit = raw("$2::bigint")

    def scan(file: str, **bounds: sql.Composable) -> str:
        return statement(f"queries/{file}", d=d, key=named, rows=rows, limit=limit, **bounds)

    in_flight = scan("scan_in_flight", xip=raw("$3::xid8[]"))
    from_xmax = scan("scan_ahead", beyond=raw("{d}.txid >= $4::xid8").format(d=d))
    match span:
        case Span.FIRST:
            scans = [in_flight, from_xmax]
        case Span.IN_FLIGHT:
            scans = [scan("scan_rest", beyond=beyond, last=last), in_flight, from_xmax]
        case Span.AHEAD:
            scans = [scan("scan_ahead", beyond=beyond)]
    parts = range(len(key.columns))
    return statement(
        "queries/delta",
        no_key=raw(", ".join("NULL::text" for _ in parts)),
        key_text=raw(", ".join(f"q.k{part}::text" for part in parts)),
        key_names=raw(", ".join(f"k{part}" for part in parts)),
        max_row_bytes=sql.Literal(MAX_ROW_BYTES),
        scans=raw("\nUNION ALL\n".join(scans)),
        limit=limit,
    )
