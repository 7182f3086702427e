"""The last rows that a position has delivered: the window of a panel before the first new row comes.

Read once when a run starts, by time where an index can give that order, else by key. It is a courtesy to viewers, so it
is bounded in time and never keeps a route from starting: what cannot be read quickly is left out, with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from trio_bridge.config.names import TableName
from trio_bridge.postgres.catalogue import WatchedTable
from trio_bridge.postgres.delta import MAX_ROW_BYTES, key_text, row_source
from trio_bridge.postgres.position import Position
from trio_bridge.postgres.queries import raw, statement
from trio_bridge.postgres.session import Session, StatementRefused, to_wire

HISTORY_LIMIT_MS: Final = 1_000
"""Longest that Postgres may look for it. A guess: a viewer who opens a page waits so long without a thought."""

_QUERY_CANCELED: Final = "57014"
_LOCK_NOT_AVAILABLE: Final = "55P03"


@dataclass(frozen=True, slots=True)
class History:
    """Rows, oldest first.

    Attributes:
        rows: JSON texts; None: larger than is fetched.
        keys: name each row as the delta does.
        order: ``time`` or ``key``: which end of the table this is.
        left_out: why there are none although there may be; empty if all is well.
    """

    rows: Sequence[bytes | None]
    keys: Sequence[str]
    order: str
    left_out: str = ""


def read_history(
    session: Session,
    table: TableName,
    watched: WatchedTable,
    *,
    columns: Sequence[str],
    time: str,
    position: Position,
    limit: int,
    timeout_s: float,
) -> History:
    """The last `limit` rows of `table` that `position` has delivered, by column `time` if an index allows.

    Raises:
        ConnectionLost: as any statement.
    """
    ((by_time,),) = session.query(
        statement("queries/time_index"), (str(watched.oid), time), timeout_s=timeout_s
    )
    order = "time" if by_time == "t" else "key"
    text, params = _statement(
        table, watched, columns, (time,) if by_time == "t" else watched.key.columns, position
    )
    session.query(f"SET statement_timeout = {HISTORY_LIMIT_MS}", timeout_s=timeout_s)
    try:
        found = session.query(text, [*params, str(limit)], timeout_s=timeout_s + HISTORY_LIMIT_MS / 1000)
    except StatementRefused as error:
        if error.sqlstate not in (_QUERY_CANCELED, _LOCK_NOT_AVAILABLE):
            raise
        return History((), (), order, left_out=str(error))
    finally:
        session.query("SET statement_timeout = 0", timeout_s=timeout_s)
    found.reverse()
    return History(
        rows=[None if row[-1] is None else to_wire(row[-1]) for row in found],
        keys=[key_text([part or "" for part in row[:-1]]) for row in found],
        order=order,
    )


def _statement(
    table: TableName, watched: WatchedTable, columns: Sequence[str], order: Sequence[str], position: Position
) -> tuple[str, list[str]]:
    """The statement and its parameters; the limit comes after them."""
    key = watched.key
    d, rows = row_source(table, (*key.columns, *columns))

    def of(column: str) -> sql.Composed:
        return sql.Composed([d, raw("."), sql.Identifier(column)])

    params = [str(position.snapshot)]
    delivered: sql.Composable = raw("")
    if position.target is not None and position.after is not None:
        # Inside a delta of several pages, also the rows up to where it has come.
        params += [str(position.target), str(position.after.txid), *position.after.key]
        after = [raw("$3::xid8"), *(raw(f"${4 + part}::{name}") for part, name in enumerate(key.types))]
        delivered = raw(
            "OR ({txid}, {key}) <= ({after}) AND pg_visible_in_snapshot({txid}, $2::pg_snapshot)"
        ).format(txid=of("txid"), key=raw(", ").join(map(of, key.columns)), after=raw(", ").join(after))
    text = statement(
        "queries/history",
        d=d,
        rows=rows,
        key_text=raw(", ").join(sql.Composed([of(column), raw("::text")]) for column in key.columns),
        max_row_bytes=sql.Literal(MAX_ROW_BYTES),
        or_delivered=delivered,
        order=raw(", ").join(sql.Composed([of(column), raw(" DESC")]) for column in order),
        limit=raw(f"${len(params) + 1}::bigint"),
    )
    return text, params
