"""The rows of a time range, page by page, each page beginning after the last row of the one before.

By time where an index begins with the time column, else by primary key: then Postgres reads the whole table, but only
once. A *place* is what the order is made of, as texts: (time, key …) or (key …); how many parts it has tells which.
Each page is one plain statement in autocommit: rows that are committed behind the place while a replay runs are not
part of it. Pages are bounded in rows and bytes as the delta's are. Owns nothing; used by one thread with its session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg import sql

from trio_bridge.config.names import TableName
from trio_bridge.decoder.mapping import Mapping
from trio_bridge.errors import ConfigError, SourceError
from trio_bridge.postgres.catalogue import WatchedTable
from trio_bridge.postgres.delta import (
    FIRST_PAGE_ROWS,
    GROWTH,
    MAX_ROW_BYTES,
    PAGE_BYTES,
    PAGE_ROWS,
    key_text,
    row_source,
)
from trio_bridge.postgres.queries import raw, statement
from trio_bridge.postgres.session import Session, StatementRefused, from_wire
from trio_bridge.replay.moments import COMPARED_AS, bound

Place = tuple[str, ...]

READ_PATIENCE_S: Final = 600.0
"""Longest silence of Postgres while it looks for a page. A guess: without an index it may read a table of 100 GB, and
whoever started the replay watches it and can end it."""

COUNT_LIMIT_MS: Final = 2_000
"""Longest that Postgres may count what there is to do. A guess: it is for the progress bar alone."""

_QUERY_CANCELED: Final = "57014"
_LOCK_NOT_AVAILABLE: Final = "55P03"
# The end of the range and the number of rows come before the place.
_BEFORE_PLACE: Final = 3


@dataclass(frozen=True, slots=True)
class Span:
    """Which rows.

    Attributes:
        since: first instant.
        until: first instant that is not part of it any more.
        after: begin behind this place; None: at the beginning.
    """

    since: datetime
    until: datetime
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One page.

    Attributes:
        rows: JSON texts; None: larger than is fetched.
        keys: name each row as the delta does.
        place: of the last row; None: there is no row.
        more: whether further rows may follow.
    """

    rows: Sequence[bytes | None]
    keys: Sequence[str]
    place: Place | None
    more: bool


class PageReader:
    """The statements of one replay, and how many rows to ask for next.

    Attributes:
        by_time: the order; else by key.

    Raises:
        ConfigError: `span.after` does not fit the table's key.
        SourceError: Postgres refused.
    """

    def __init__(
        self,
        session: Session,
        table: TableName,
        watched: WatchedTable,
        mapping: Mapping,
        span: Span,
        *,
        most_rows: int,
        timeout_s: float,
    ) -> None:
        self._session = session
        self._watched = watched
        self._time = mapping.time
        self._width = len(watched.key.columns)
        self._most_rows = min(most_rows, PAGE_ROWS)
        self._limit = min(FIRST_PAGE_ROWS, self._most_rows)
        self.by_time = self._order(span.after, timeout_s)
        self._time_type = next(column.type for column in watched.shape.columns if column.name == mapping.time)
        self._bounds = [
            bound(moment, self._time_type, mapping.time_unit) for moment in (span.since, span.until)
        ]
        parts = self._parts(table, mapping)
        for name, beyond in (("first", raw("")), ("next", self._beyond(parts["d"], _BEFORE_PLACE))):
            session.prepare(name, statement("queries/replay", **parts, beyond=beyond), timeout_s=timeout_s)
        self._count = statement(
            "queries/replay_count",
            **{part: parts[part] for part in ("d", "rows", "within")},
            beyond=raw("") if span.after is None else self._beyond(parts["d"], _BEFORE_PLACE - 1),
        )

    def count(self, after: Place | None, *, timeout_s: float) -> int | None:
        """How many rows there are behind `after`; None if that takes too long to tell."""
        session = self._session
        session.query(f"SET statement_timeout = {COUNT_LIMIT_MS}", timeout_s=timeout_s)
        try:
            ((rows,),) = session.query(
                self._count, [*self._bounds, *(after or ())], timeout_s=timeout_s + COUNT_LIMIT_MS / 1000
            )
        except StatementRefused as error:
            if error.sqlstate not in (_QUERY_CANCELED, _LOCK_NOT_AVAILABLE):
                raise
            return None
        finally:
            session.query("SET statement_timeout = 0", timeout_s=timeout_s)
        return int(rows or 0)

    def read(self, after: Place | None) -> Found:
        """The page behind `after`.

        Raises:
            SourceError: Postgres refused or fell silent.
        """
        rows: list[bytes | None] = []
        keys: list[str] = []
        place: Place | None = None
        size = 0
        asked, cut = self._limit, False
        params = [*self._bounds, str(asked), *(after or ())]
        for result in self._session.run(
            "first" if after is None else "next", params, timeout_s=READ_PATIENCE_S
        ):
            width = result.nfields - 1
            for row in range(result.ntuples):
                if size >= PAGE_BYTES:
                    # Read off the wire and forgotten: the next page asks for fewer.
                    cut = True
                    break
                text = result.get_value(row, width)
                size += MAX_ROW_BYTES if text is None else len(text)
                rows.append(text)
                place = tuple(_text(result.get_value(row, part)) for part in range(width))
                keys.append(key_text(place[-self._width :]))
        if rows:
            fitting = PAGE_BYTES * len(rows) // max(size, 1)
            self._limit = min(self._most_rows, max(FIRST_PAGE_ROWS, min(GROWTH * asked, fitting)))
        return Found(rows, keys, place, more=cut or len(rows) >= asked)

    def _order(self, after: Place | None, timeout_s: float) -> bool:
        if after is None:
            ((by_time,),) = self._session.query(
                statement("queries/time_index"), (str(self._watched.oid), self._time), timeout_s=timeout_s
            )
            return by_time == "t"
        # A replay that goes on keeps the order it was begun in, whatever indexes there are by now.
        if len(after) not in (self._width, self._width + 1):
            raise ConfigError(
                f"the place to begin after has {len(after)} parts, and the primary key of this table has "
                f"{self._width} columns: give it as the interrupted replay printed it"
            )
        return len(after) > self._width

    @property
    def _place(self) -> list[tuple[str, str]]:
        """What the order is made of: columns and the types of their values."""
        key = self._watched.key
        pairs = list(zip(key.columns, key.types, strict=True))
        return [(self._time, self._time_type), *pairs] if self.by_time else pairs

    def _parts(self, table: TableName, mapping: Mapping) -> dict[str, sql.Composable]:
        d, rows = row_source(table, (*self._watched.key.columns, *mapping.columns))
        places = [_of(d, column) for column, _ in self._place]
        compared_as = COMPARED_AS[self._time_type]
        return {
            "d": d,
            "rows": rows,
            "within": raw(f"{{time}} >= $1::{compared_as} AND {{time}} < $2::{compared_as}").format(
                time=_of(d, self._time)
            ),
            "place": raw(", ").join(sql.Composed([place, raw("::text")]) for place in places),
            "order": raw(", ").join(places),
            "max_row_bytes": sql.Literal(MAX_ROW_BYTES),
        }

    def _beyond(self, d: sql.Composable, before: int) -> sql.Composed:
        """The condition that a row comes after a place, whose parameters follow `before` others."""
        given = [raw(f"${before + 1 + number}::{kind}") for number, (_, kind) in enumerate(self._place)]
        return raw("AND ({columns}) > ({given})").format(
            columns=raw(", ").join(_of(d, column) for column, _ in self._place), given=raw(", ").join(given)
        )


def _of(d: sql.Composable, column: str) -> sql.Composed:
    return sql.Composed([d, raw("."), sql.Identifier(column)])


def _text(value: bytes | None) -> str:
    if value is None:
        raise SourceError("the replay's statement returned a row without a place")
    return from_wire(value)
