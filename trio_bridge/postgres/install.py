"""Make a table fit for the bridge, and undo it: a separate act, with the owner's role.

Runs the steps of `plan` one after the other, each in a transaction of its own or outside of one, or prints them for
psql. Every step may be run again. *Owns* its connection for the time of a call. Two installations in one database take
turns: they would change the same rows of the catalogue.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from trio_bridge.config.names import TableName
from trio_bridge.errors import ConfigError, SourceError
from trio_bridge.postgres.plan import DEMO_TABLE, Start, plan_install, plan_uninstall
from trio_bridge.postgres.queries import INSTALL_CLASS, raw
from trio_bridge.postgres.step import Step

__all__ = ["DEMO_TABLE", "Start", "install", "sql_text", "uninstall"]

MIN_SERVER_VERSION = 140_000
"""PostgreSQL 14: the first with ``idle_session_timeout`` and ``CREATE OR REPLACE TRIGGER``."""

TURN_TIMEOUT_S = 60.0
"""How long one installation waits for another. Guess: an index of some ten million rows."""

# Nothing stands in for a function, an operator or a type that we mean.
_PATH = "SET search_path = pg_catalog"
# Whatever the role or the database says: an index takes its time.
_SETTINGS = f"""
    {_PATH}; SET client_encoding = 'utf8'; SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off; SET statement_timeout = 0; SET lock_timeout = 0
"""


def install(
    conninfo: str, table: TableName, *, routes: Sequence[str], start: Start = "now", role: str | None = None
) -> list[str]:
    """Install the bridge for `table`.

    Args:
        conninfo: libpq connection string of the table's owner, with its password.
        table: to be watched.
        routes: names of the routes that will read it; each gets a checkpoint.
        start: ``now``: only rows from here on; ``earliest``: every row that has a txid.
        role: also give this role what the bridge needs, and nothing else; it must exist.

    Returns:
        The titles of the steps that were needed, in order.

    Raises:
        ConfigError: the table cannot be watched, or this role may not do it.
        SourceError: Postgres failed.
    """
    with _connected(conninfo) as connection:
        _wait_turn(connection)
        return _run(connection, plan_install(connection, table, routes=routes, start=start, role=role))


def sql_text(
    conninfo: str, table: TableName, *, routes: Sequence[str], start: Start = "now", role: str | None = None
) -> str:
    """The script that `install` would run, for ``psql -v ON_ERROR_STOP=1 -f``; changes nothing.

    Raises:
        ConfigError: the table cannot be watched.
        SourceError: Postgres failed.
    """
    with _connected(conninfo) as connection:
        steps = plan_install(connection, table, routes=routes, start=start, role=role)
    blocks = [f"-- no name of another schema in place of ours\n\n{_PATH};\n"]
    for step in steps:
        body = f"BEGIN;\n{step.text}\nCOMMIT;" if step.transaction else step.text
        blocks.append(f"-- {_one_line(step.title)}\n\n{body}\n")
    return "\n".join(blocks)


def uninstall(conninfo: str, table: TableName, *, routes: Sequence[str]) -> list[str]:
    """Take the trigger, the index, the position column and the checkpoints of `routes` away again.

    The rows stay. The schema goes with the last watched table.

    Raises:
        ConfigError: this role may not do it.
        SourceError: Postgres failed.
    """
    with _connected(conninfo) as connection:
        _wait_turn(connection)
        return _run(connection, plan_uninstall(connection, table, routes=routes))


@contextmanager
def _connected(conninfo: str) -> Iterator[psycopg.Connection]:
    try:
        connection = psycopg.connect(
            conninfo, autocommit=True, connect_timeout=10, application_name="trio_bridge install"
        )
    except psycopg.OperationalError as error:
        raise SourceError(f"cannot connect to postgres: {_one_line(str(error))}") from None
    with connection:
        if connection.info.server_version < MIN_SERVER_VERSION:
            raise ConfigError(
                f"this is PostgreSQL {connection.info.server_version // 10_000}: it must be 14 or newer"
            )
        connection.execute(_SETTINGS)
        yield connection


def _wait_turn(connection: psycopg.Connection) -> None:
    """Asked again and again: a statement that waited would hold a snapshot, for which the other's index waits."""
    deadline = time.monotonic() + TURN_TIMEOUT_S
    while connection.execute("SELECT pg_try_advisory_lock(%s, 0)", (INSTALL_CLASS,)).fetchone() == (False,):
        if time.monotonic() >= deadline:
            raise SourceError("another installation is running in this database: try again when it has ended")
        time.sleep(0.05)


def _run(connection: psycopg.Connection, steps: Sequence[Step]) -> list[str]:
    for step in steps:
        try:
            if step.transaction:
                with connection.transaction():
                    connection.execute(raw(step.text))
            else:
                connection.execute(raw(step.text))
        except psycopg.Error as error:
            raise _explained(step, error) from None
    return [step.title for step in steps]


def _explained(step: Step, error: psycopg.Error) -> ConfigError | SourceError:
    reason = f"{step.title}: {error.diag.message_primary or _one_line(str(error))}"
    match error:
        case psycopg.errors.InsufficientPrivilege():
            return ConfigError(
                f"{reason}: do it as the owner of the table, who must also own schema trio_bridge"
            )
        case psycopg.errors.DependentObjectsStillExist():
            return ConfigError(f"{reason}: {error.diag.message_detail}")
        case psycopg.errors.LockNotAvailable():
            return SourceError(
                f"{step.title}: a running transaction holds the table for more than 5 s: try again when it has ended"
            )
    return SourceError(reason)


def _one_line(text: str) -> str:
    return " ".join(text.split())
