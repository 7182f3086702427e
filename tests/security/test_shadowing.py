"""Functions, operators and types of the same names, first in everybody's search_path, are never called instead of ours.

A hostile role makes them in a schema of its own and in public, and sets traps in each: one that is called leaves its
name in a table. The writer, the bridge's role, the installer and the whole database search there first.
"""

from __future__ import annotations

import subprocess

import psycopg
import pytest

from tests.faults.readings import TABLE, readings, wait_notify
from tests.pg import Database
from trio_bridge.config.names import parse_table
from trio_bridge.postgres.install import install, sql_text, uninstall

# Signature → result of each function that our SQL calls, most general ones included.
FUNCTIONS = {
    "pg_try_advisory_lock_shared(int4, int4)": "bool", "pg_advisory_unlock_shared(int4, int4)": "bool",
    "pg_try_advisory_lock(int4, int4)": "bool", "pg_advisory_unlock(int4, int4)": "bool",
    "pg_notify(text, text)": "void", "pg_current_xact_id()": "xid8", "pg_current_snapshot()": "pg_snapshot",
    "pg_visible_in_snapshot(xid8, pg_snapshot)": "bool", "pg_snapshot_xmin(pg_snapshot)": "xid8",
    "pg_snapshot_xmax(pg_snapshot)": "xid8", "row_to_json(record)": "json", "now()": "timestamptz",
    "clock_timestamp()": "timestamptz", "array_to_json(anyarray)": "json", "octet_length(text)": "int4",
    "to_regclass(text)": "regclass", "to_regnamespace(text)": "regnamespace", "pg_get_expr(pg_node_tree, oid)": "text",
    "has_table_privilege(oid, text)": "bool", "has_schema_privilege(oid, text)": "bool", "format(text, name)": "text",
    "pg_has_role(oid, text)": "bool", "current_setting(text)": "text", "format_type(oid, int4)": "text",
    "pg_is_in_recovery()": "bool", "pg_notification_queue_usage()": "float8", "quote_ident(text)": "text",
}  # fmt: skip
TYPES = (
    "xid8",
    "pg_snapshot",
    "int4",
    "integer",
    "int8",
    "bigint",
    "text",
    "timestamptz",
    "json",
    "smallint",
    "oid",
)
OPERATORS = (
    ("=", "xid8"),
    ("<", "xid8"),
    (">=", "xid8"),
    ("=", "int4"),
    ("=", "text"),
    ("=", "int8"),
    ("=", "oid"),
)


def traps(schema: str) -> str:
    """SQL that fills `schema`."""
    statements = [
        f"CREATE SCHEMA IF NOT EXISTS {schema}; GRANT ALL ON SCHEMA {schema} TO PUBLIC; SET search_path = pg_catalog"
    ]
    trap = "INSERT INTO public.sprung VALUES (current_user || ' called ' || '{0}');"
    for signature, result in FUNCTIONS.items():
        fails = f"RAISE EXCEPTION 'a trap: {signature}';"
        statements.append(
            f"CREATE FUNCTION {schema}.{signature} RETURNS {result} LANGUAGE plpgsql AS "
            f"$$ BEGIN {trap.format(signature)} {fails} END $$"
        )
    for operator, kind in OPERATORS:
        name = {"=": "eq", "<": "lt", ">=": "ge"}[operator] + "_" + kind
        body = f"BEGIN {trap.format(name)} RAISE EXCEPTION 'a trap: {name}'; END"
        statements += [
            f"CREATE FUNCTION {schema}.{name}({kind}, {kind}) RETURNS bool LANGUAGE plpgsql AS $$ {body} $$",
            f"CREATE OPERATOR {schema}.{operator} (LEFTARG = {kind}, RIGHTARG = {kind}, FUNCTION = {schema}.{name})",
        ]
    statements += [f'CREATE DOMAIN {schema}."{name}" AS bool CHECK (false)' for name in TYPES]
    return ";\n".join(statements)


@pytest.fixture
def trapped(database: Database) -> Database:
    """A database whose every session searches evil and public before pg_catalog."""
    with database.connect() as connection:
        connection.execute("CREATE TABLE public.sprung (what text); GRANT ALL ON public.sprung TO PUBLIC")
        for schema in ("evil", "public"):
            connection.execute(traps(schema).encode())
        connection.execute(f"ALTER DATABASE {database.name} SET search_path = evil, public, pg_catalog")
    return database


def sprung(database: Database) -> list[object]:
    """The traps that were called and whose transaction went through; one that failed has failed its test."""
    return [row[0] for row in database.execute("SELECT what FROM public.sprung")]


def test_the_traps_work(trapped: Database) -> None:
    """An unqualified call in such a session lands in a trap: a test that nothing can fail would prove nothing."""
    for statement in ("SELECT pg_notify('a'::pg_catalog.text, 'b'::pg_catalog.text)", "SELECT now()"):
        with pytest.raises(psycopg.errors.RaiseException, match="a trap"):
            trapped.execute(statement)
    with pytest.raises(psycopg.errors.RaiseException, match="a trap: eq_int4"):
        trapped.execute("SELECT 1 = 1")


def test_install_and_uninstall_step_over_them(trapped: Database) -> None:
    """Run by the program, and as a script by psql in such a session."""
    table = parse_table("public.live_metrics")
    install(trapped.dsn, table, routes=["r"], start="earliest")
    assert trapped.execute("SELECT pg_catalog.count(*) FROM trio_bridge.checkpoint") == [(1,)]
    uninstall(trapped.dsn, table, routes=["r"])
    psql = trapped.server.binaries.command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", trapped.dsn)
    script = sql_text(trapped.dsn, table, routes=["r"])
    done = subprocess.run(psql, input=script, text=True, capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    ours = "SELECT atttypid::pg_catalog.regtype::pg_catalog.text FROM pg_catalog.pg_attribute"
    assert (
        trapped.execute(f"{ours} WHERE attname OPERATOR(pg_catalog.=) 'txid'") == [("pg_catalog.xid8",)] * 2
    )
    assert sprung(trapped) == []


async def test_trigger_delta_and_checkpoint_step_over_them(trapped: Database) -> None:
    """A writer with that search_path inserts, the bell rings, rows arrive and are saved; no trap was called."""
    schema = f"""
        CREATE TABLE {TABLE} (
            id pg_catalog.int8 GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
            "timestamp" pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
            value pg_catalog.float8, note pg_catalog.text
        )
    """
    role = f"bridge_{trapped.name}"
    trapped.execute(f"CREATE ROLE {role} LOGIN")
    try:
        trapped.execute(f"ALTER ROLE {role} SET search_path = evil, public, pg_catalog")
        async with readings(trapped.dsn, schema=schema, role=role) as world:
            via = trapped.server.dsn(trapped.name, user=role)
            async with world.bridge(dsn=via) as route:
                await wait_notify(route)
                for _ in range(3):
                    trapped.execute(f"INSERT INTO {TABLE} (value) VALUES (1), (2)")
                ids = [row[0] for row in trapped.execute(f"SELECT id FROM {TABLE}")]
                await world.wait_arrived(*ids)
            # What the test itself asks in the end needs the real ones.
            trapped.execute(f"ALTER DATABASE {trapped.name} RESET search_path")
            assert sprung(trapped) == []
            assert len(ids) == 6
    finally:
        trapped.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
