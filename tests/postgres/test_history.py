"""The history of a panel: the last rows that a position has delivered, read quickly or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from tests.pg import Database
from trio_bridge.config.names import TableName, parse_table
from trio_bridge.handover import Wake
from trio_bridge.postgres.catalogue import read_table
from trio_bridge.postgres.history import History, read_history
from trio_bridge.postgres.install import install
from trio_bridge.postgres.position import Position, RowMark, Snapshot
from trio_bridge.postgres.session import Session

TABLE = parse_table("public.live_metrics")


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """A connection as the listener's."""
    wake = Wake()
    opened = Session.connect(database.dsn, wake, timeout_s=10)
    yield opened
    opened.close()
    wake.close()


def snapshot(session: Session) -> Snapshot:
    ((text,),) = session.query("SELECT pg_current_snapshot()::text", timeout_s=5)
    assert text is not None
    return Snapshot.parse(text)


def read(session: Session, position: Position, limit: int, table: TableName = TABLE) -> History:
    watched = read_table(session, table, timeout_s=5)
    return read_history(
        session, table, watched, columns=("timestamp", "value"), time="timestamp", position=position, limit=limit,
        timeout_s=5,
    )  # fmt: skip


def values(history: History) -> list[int]:
    return [json.loads(row)["value"] for row in history.rows if row is not None]


def insert(database: Database, *rows: tuple[int, int]) -> None:
    """Rows of (second of the hour, value), in the order given."""
    for second, value in rows:
        database.execute(
            f"INSERT INTO {TABLE} (timestamp, value) VALUES (timestamptz '2026-01-01' + interval '{second} s', {value})"
        )


@pytest.mark.parametrize("by_time", [True, False])
def test_the_last_rows_oldest_first(database: Database, session: Session, by_time: bool) -> None:
    """By time where an index gives that order, else by key; oldest first, named as the delta names them."""
    install(database.dsn, TABLE, routes=["r"])
    if by_time:
        database.execute(f"CREATE INDEX ON {TABLE} (timestamp)")
    insert(database, (50, 1), (10, 2), (40, 3), (20, 4), (30, 5))
    history = read(session, Position(snapshot(session)), 3)
    assert history.order == ("time" if by_time else "key")
    assert values(history) == ([5, 3, 1] if by_time else [3, 4, 5])
    assert list(history.keys) == (["5", "3", "1"] if by_time else ["3", "4", "5"])


def test_rows_from_before_the_installation_are_history(database: Database, session: Session) -> None:
    """A table's old rows are never delivered, but a panel may show them."""
    database.execute(
        f'CREATE TABLE {TABLE} (id int PRIMARY KEY, "timestamp" timestamptz DEFAULT now(), value int)'
    )
    database.execute(f"INSERT INTO {TABLE} (id, value) VALUES (1, 1), (2, 2)")
    install(database.dsn, TABLE, routes=["r"])
    assert values(read(session, Position(snapshot(session)), 10)) == [1, 2]


def test_rows_that_are_still_to_be_delivered_are_not_history(database: Database, session: Session) -> None:
    """What comes by the delta would be shown twice."""
    install(database.dsn, TABLE, routes=["r"])
    insert(database, (1, 1))
    position = Position(snapshot(session))
    insert(database, (2, 2))
    assert values(read(session, position, 10)) == [1]


def test_inside_a_delta_of_several_pages_what_was_handed_on_is_history(
    database: Database, session: Session
) -> None:
    """After a restart in the middle of a backlog, the rows up to the checkpoint are there, those behind it are not."""
    install(database.dsn, TABLE, routes=["r"])
    insert(database, (1, 1))
    before = snapshot(session)
    database.execute(f"INSERT INTO {TABLE} (value) SELECT g FROM generate_series(2, 6) g")
    ((txid,),) = session.query(f"SELECT max(txid)::text FROM {TABLE}", timeout_s=5)
    position = Position(before, snapshot(session), RowMark(int(txid or 0), ("3",)))
    assert values(read(session, position, 10)) == [1, 2, 3]


def test_composite_keys_and_large_rows(database: Database, session: Session) -> None:
    """Keys of several columns name rows as in the delta; a row that is too large is a gap, not a failure."""
    table = parse_table('public."Tä ble"')
    database.execute(
        f'CREATE TABLE {table} (a text, b int, "timestamp" timestamptz DEFAULT now(), value int, note text, '
        "PRIMARY KEY (a, b))"
    )
    install(database.dsn, table, routes=["r"])
    database.execute(f"INSERT INTO {table} VALUES ('x, y', 1, now(), 1), ('x', 2, now(), 2)")
    history = read(session, Position(snapshot(session)), 10, table)
    assert sorted(history.keys) == ["x, 2", "x\\, y, 1"]


@pytest.mark.parametrize("held", ["lock", "time"])
def test_what_cannot_be_read_quickly_is_left_out(
    database: Database, session: Session, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A locked table or a slow one keeps no route from starting; the reason is told, and the session is as before."""
    install(database.dsn, TABLE, routes=["r"])
    insert(database, (1, 1))
    session.query("SET lock_timeout = 100", timeout_s=5)
    watched = read_table(session, TABLE, timeout_s=5)
    position = Position(snapshot(session))
    if held == "time":
        database.execute(f"INSERT INTO {TABLE} (value) SELECT g FROM generate_series(1, 200000) g")
        monkeypatch.setattr("trio_bridge.postgres.history.HISTORY_LIMIT_MS", 1)
        position = Position(snapshot(session))
    done = threading.Event()
    locked = threading.Event()

    def hold() -> None:
        with database.connect(autocommit=False) as connection:
            connection.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
            locked.set()
            done.wait(20)

    holder = threading.Thread(target=hold)
    if held == "lock":
        holder.start()
        assert locked.wait(10)
    try:
        history = read_history(
            session, TABLE, watched, columns=("timestamp", "value"), time="timestamp", position=position,
            limit=200_000, timeout_s=5,
        )  # fmt: skip
    finally:
        done.set()
        if held == "lock":
            holder.join()
    assert history.rows == ()
    assert history.left_out
    assert session.query("SHOW statement_timeout", timeout_s=5) == [("0",)]
