"""What the tests of the Postgres side share: a session as the bridge opens it, and an eye that reads deltas with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

from trio_bridge.config.names import TableName
from trio_bridge.config.settings import PostgresSettings
from trio_bridge.handover import Wake
from trio_bridge.postgres.catalogue import WatchedTable, read_table
from trio_bridge.postgres.conninfo import resolve
from trio_bridge.postgres.delta import Delta, DeltaReader
from trio_bridge.postgres.position import Position, Snapshot, Span
from trio_bridge.postgres.session import Session

ANSWER_S = 10.0

EARLIEST = Position(Snapshot(3, 3))
"""Sees nothing: the delta from here is every row that has a txid."""


def attempts(dsn: str, **settings: Any) -> list[str]:
    """Connection strings such as the bridge would try for `dsn`."""
    return trio.run(resolve, PostgresSettings(dsn=dsn, **settings), "test")


@contextmanager
def opened(dsn: str, **settings: Any) -> Iterator[Session]:
    """A session of the bridge; nothing wakes it."""
    wake = Wake()
    try:
        session = Session.connect(attempts(dsn, **settings)[0], wake, timeout_s=ANSWER_S)
        try:
            yield session
        finally:
            session.close()
    finally:
        wake.close()


def value(session: Session, statement: str, *params: str | None) -> str | None:
    """The one value that `statement` returns."""
    ((answer,),) = session.query(statement, params, timeout_s=ANSWER_S)
    return answer


class Eye:
    """Reads one table by its delta, as the listener does.

    Attributes:
        position: what has been read.
        spans: how often each of the three statements ran.
        pages: how many rows each page had.
    """

    def __init__(self, session: Session, table: TableName, position: Position = EARLIEST) -> None:
        self.session = session
        self.position = position
        self.watched: WatchedTable = read_table(session, table, timeout_s=ANSWER_S)
        columns = [column.name for column in self.watched.shape.columns]
        self.reader = DeltaReader(table, self.watched.key, columns)
        for span, statement in self.reader.statements.items():
            session.prepare(span.value, statement, timeout_s=ANSWER_S)
        self.spans = dict.fromkeys(Span, 0)
        self.pages: list[int] = []

    def page(self) -> Delta:
        """The next page; the position moves on."""
        span = self.position.span
        results = self.session.run(span.value, self.reader.params(self.position), timeout_s=ANSWER_S)
        delta = self.reader.read(self.position, results)
        self.spans[span] += 1
        self.pages.append(len(delta.rows))
        self.position = delta.position
        return delta

    def rows(self) -> list[dict[str, Any] | None]:
        """All that has come since, page by page to the end of this delta."""
        found: list[dict[str, Any] | None] = []
        seen: set[str] = set()
        while True:
            delta = self.page()
            # A delta that goes in circles would never end.
            assert not seen & set(delta.keys)
            seen |= set(delta.keys)
            found += [None if row is None else json.loads(row) for row in delta.rows]
            if not delta.more:
                return found

    def values(self, column: str) -> list[Any]:
        """One column of `rows`."""
        return [row[column] for row in self.rows() if row is not None]


def now(session: Session) -> Position:
    """A position that has seen everything that is committed."""
    snapshot = value(session, "SELECT pg_current_snapshot()")
    assert snapshot is not None
    return Position(Snapshot.parse(snapshot))
