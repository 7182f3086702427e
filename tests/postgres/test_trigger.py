"""The trigger: silent while nobody waits, one bell a statement while somebody does, and never in a writer's way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.pg import Database
from tests.postgres.eye import Eye, now, opened
from trio_bridge.config.names import TableName
from trio_bridge.postgres.install import install
from trio_bridge.postgres.queries import GATE_CLASS

T = TableName("public", "t")
GATE_LOCKS = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = {GATE_CLASS}"


@pytest.fixture
def table(database: Database) -> int:
    """A watched table t; its oid."""
    database.execute("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int)")
    install(database.dsn, T, routes=["r"])
    ((oid,),) = database.execute("SELECT 't'::regclass::oid::int8")
    assert isinstance(oid, int)
    return oid


@contextmanager
def _waiting(database: Database, table: int) -> Iterator[psycopg.Connection]:
    """A session that holds the gate exclusively and listens, as the bridge does in notify mode."""
    with database.connect() as bridge:
        bridge.execute("LISTEN influx_feed")
        bridge.execute("SELECT pg_advisory_lock(%s, %s::oid::int4)", (GATE_CLASS, table))
        yield bridge


def _bells(bridge: psycopg.Connection) -> list[str]:
    """What has been rung up to now: a notification of our own is certainly behind."""
    bridge.execute("NOTIFY influx_feed, 'end'")
    bells: list[str] = []
    for bell in bridge.notifies(timeout=5):
        if bell.payload == "end":
            return bells
        bells.append(bell.payload)
    raise AssertionError("our own notification did not come")


@pytest.mark.usefixtures("table")
def test_silent_while_nobody_waits(database: Database) -> None:
    """With the gate free nothing is notified, whoever listens, and the writer keeps no lock."""
    with database.connect() as listener:
        listener.execute("LISTEN influx_feed")
        with database.connect() as writer:
            writer.execute("INSERT INTO t (v) VALUES (1)")
            with writer.transaction():
                writer.execute("INSERT INTO t (v) VALUES (2)")
                assert writer.execute(GATE_LOCKS).fetchone() == (0,)
        assert _bells(listener) == []


def test_rings_once_a_statement(database: Database, table: int) -> None:
    """While the gate is held each INSERT or COPY rings once, whatever its rows, with the table's oid."""
    bell = str(table)
    with _waiting(database, table) as bridge, database.connect() as writer:
        writer.execute("INSERT INTO t (v) SELECT generate_series(1, 100)")
        assert _bells(bridge) == [bell]
        with writer.cursor().copy("COPY t (v) FROM STDIN") as copy:
            for number in range(100):
                copy.write_row((number,))
        assert _bells(bridge) == [bell]
        writer.execute("INSERT INTO t (v) VALUES (1)")
        writer.execute("INSERT INTO t (v) VALUES (2)")
        assert _bells(bridge) == [bell, bell]
        with writer.transaction(force_rollback=True):
            writer.execute("INSERT INTO t (v) VALUES (3)")
        assert _bells(bridge) == []
        writer.execute("SET session_replication_role = replica")
        writer.execute("INSERT INTO t (v) VALUES (4)")
        assert _bells(bridge) == []


def test_two_waiting_tables(database: Database, table: int) -> None:
    """Each table has a gate of its own: a bridge that waits for one makes no other ring."""
    database.execute("CREATE TABLE other (id int PRIMARY KEY)")
    install(database.dsn, TableName("public", "other"), routes=["other"])
    with _waiting(database, table) as bridge:
        database.execute("INSERT INTO other VALUES (1)")
        assert _bells(bridge) == []


def test_never_waits(database: Database, table: int) -> None:
    """However the gate is held, also by the writer itself, an INSERT neither waits nor fails."""
    with database.connect() as holder, database.connect() as writer:
        writer.execute("SET statement_timeout = '2s'")
        for lock in ("pg_advisory_lock", "pg_advisory_lock_shared"):
            holder.execute(f"SELECT {lock}({GATE_CLASS}, {table})")
            writer.execute("INSERT INTO t (v) VALUES (1)")
        writer.execute(f"SELECT pg_try_advisory_lock_shared({GATE_CLASS}, {table})")
        writer.execute("INSERT INTO t (v) VALUES (1)")
        holder.execute("SELECT pg_advisory_unlock_all()")
        writer.execute(f"SELECT pg_advisory_unlock_all(), pg_advisory_lock({GATE_CLASS}, {table})")
        writer.execute("INSERT INTO t (v) VALUES (1)")
        # Its own exclusive hold is as it was: once.
        assert writer.execute(GATE_LOCKS).fetchone() == (1,)
        assert writer.execute(f"SELECT pg_advisory_unlock({GATE_CLASS}, {table})").fetchone() == (True,)
        assert writer.execute(GATE_LOCKS).fetchone() == (0,)


@pytest.mark.fault(127)
def test_cancelled_writers_leave_no_lock(database: Database, table: int) -> None:
    """Thousands of statements cut off at any point inside the trigger leave no session with the gate (fault 127)."""
    cut = 0
    with database.connect() as writer:
        writer.execute("SET statement_timeout = '1ms'")
        for _ in range(2_000):
            try:
                # The loop of statements in one: 1 ms always ends somewhere in trigger or insert.
                writer.execute(
                    "DO $$ BEGIN FOR i IN 1..1000 LOOP INSERT INTO public.t (v) VALUES (i); END LOOP; END $$"
                )
            except psycopg.errors.QueryCanceled:
                cut += 1
        writer.execute("SET statement_timeout = 0")
        assert writer.execute(GATE_LOCKS).fetchone() == (0,)
        with _waiting(database, table):
            pass
    assert cut > 1_500


def test_search_path_leads_nowhere(database: Database, table: int) -> None:
    """Functions and types of the same names in a schema first in the writer's search_path are never called."""
    with database.connect() as writer:
        writer.execute("CREATE SCHEMA evil")
        for signature in (
            "pg_try_advisory_lock_shared(int, int) RETURNS boolean",
            "pg_advisory_unlock_shared(int, int) RETURNS boolean",
            "pg_notify(text, text) RETURNS void",
            "pg_current_xact_id() RETURNS xid8",
        ):
            writer.execute(
                f"CREATE FUNCTION evil.{signature} LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$"
            )
        writer.execute(
            "CREATE DOMAIN evil.int4 AS text CHECK (false); CREATE DOMAIN evil.text AS int CHECK (false)"
        )
        writer.execute("SET search_path = evil, pg_catalog, public")
        writer.execute("INSERT INTO public.t (v) VALUES (1)")
        with _waiting(database, table) as bridge:
            writer.execute("INSERT INTO public.t (v) VALUES (2)")
            assert _bells(bridge) == [str(table)]
    with opened(database.dsn) as session:
        assert Eye(session, T).values("v") == [1, 2]


def test_any_writer_may_ring(database: Database, table: int) -> None:
    """A role that may only insert needs no right on our schema."""
    role = f"writer_{database.name}"
    database.execute(f"CREATE ROLE {role} LOGIN")
    try:
        database.execute(f"GRANT INSERT ON t TO {role}")
        with _waiting(database, table) as bridge:
            with database.connect(user=role) as writer:
                writer.execute("INSERT INTO t (v) VALUES (1)")
            assert _bells(bridge) == [str(table)]
    finally:
        database.execute(f"DROP OWNED BY {role}")
        database.execute(f"DROP ROLE {role}")


@pytest.mark.usefixtures("table")
def test_position_moves_without_the_trigger(database: Database) -> None:
    """A row that rang no bell (trigger disabled) is in the next delta all the same."""
    with opened(database.dsn) as session:
        eye = Eye(session, T, now(session))
        database.execute("ALTER TABLE t DISABLE TRIGGER USER")
        database.execute("INSERT INTO t (v) VALUES (9)")
        assert eye.values("v") == [9]
