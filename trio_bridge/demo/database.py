"""The demo's database: an embedded server made for this run, or the one that the operator named.

Turns either into the same thing: a way to connect as the owner of the table, the settings with which the
bridge connects, and the acts of chaos that are possible there. In the embedded server the bridge is a role of
its own that may read the table and write its checkpoint, as it should be anywhere; a named server is used
with the role it was named with, and is never stopped.

`open_database` owns the embedded server and ends it, whatever happens; blocking calls run in threads.
"""

from __future__ import annotations

import secrets
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import psycopg
import trio
from psycopg import sql

from trio_bridge.config.dsn import with_password
from trio_bridge.config.settings import PostgresSettings
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.demo.schedule import Schedule
from trio_bridge.postgres.install import install
from trio_bridge.postgres.plan import DEMO_TABLE
from trio_bridge.secret import Secret

ROUTE = "live_metrics"

_NAME = "demo"
_ROLE = "trio_bridge"

# A connection attempt that the restarting server does not answer is given up and made again.
_CONNECT_TIMEOUT_S = 3


@dataclass(frozen=True, slots=True)
class Database:
    """Where the demo's rows are written and read.

    Attributes:
        owner: libpq connection string of the table's owner, with its password.
        bridge: how the bridge connects.
        server: the embedded server, or None: it is somebody else's.
    """

    owner: str
    bridge: PostgresSettings
    server: EmbeddedPostgres | None

    def __repr__(self) -> str:
        return "Database(...)"

    def connect(self) -> psycopg.Connection:
        """A new connection as the owner, in autocommit mode; the caller owns it. Blocks."""
        return psycopg.connect(
            self.owner,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_S,
            application_name="trio_bridge demo",
        )

    def times_us(self, schedule: Schedule) -> array[int]:
        """The instants of this run's rows in the table, microseconds since 1970. Blocks."""
        statement = """
            SELECT (extract(epoch FROM "timestamp") * 1000000)::bigint FROM public.live_metrics
            WHERE "timestamp" >= 'epoch'::timestamptz + %s * interval '1 microsecond'
        """
        with (
            self.connect() as connection,
            connection.transaction(),
            # Page by page: an hour's rows are many.
            connection.cursor("times") as cursor,
        ):
            cursor.itersize = 50_000
            cursor.execute(statement, (schedule.start_us,))
            return array("q", (time_us for (time_us,) in cursor))

    def unacknowledged(self, schedule: Schedule) -> int:
        """This run's rows in the table that the bridge's checkpoint does not cover. Blocks."""
        # The first condition follows from the second, and lets the index answer.
        statement = """
            SELECT count(*) FROM public.live_metrics AS t, trio_bridge.checkpoint AS c
            WHERE c.name = %s AND t.txid >= pg_snapshot_xmin(c.snapshot)::text::xid8
              AND NOT pg_visible_in_snapshot(t.txid, c.snapshot)
              AND t."timestamp" >= 'epoch'::timestamptz + %s * interval '1 microsecond'
        """
        with self.connect() as connection:
            row = connection.execute(statement, (ROUTE, schedule.start_us)).fetchone()
            assert row is not None
            return int(row[0])

    def cut_bridge(self) -> int:
        """Ends the bridge's sessions from the server's side; how many there were. Blocks."""
        statement = """
            SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = %s
        """
        with self.connect() as connection:
            row = connection.execute(statement, (f"trio_bridge {ROUTE}",)).fetchone()
            assert row is not None
            return int(row[0])


@asynccontextmanager
async def open_database(named: PostgresSettings | None) -> AsyncIterator[Database]:
    """A database in which the demo's table is watched.

    Args:
        named: the operator's own; None: an embedded server is started and, at the end, removed.

    Raises:
        ConfigError: there is no PostgreSQL to start, or the table cannot be watched in the one that was
            named.
        SourceError: it did not start, or refused or failed.
    """
    if named is not None:
        await trio.to_thread.run_sync(partial(_install, with_password(named), role=None))
        yield Database(with_password(named), named, None)
        return
    # Any user of the machine can connect to a port of the loopback: so a password, known to nobody.
    password = Secret(secrets.token_urlsafe(24))
    server = await trio.to_thread.run_sync(partial(EmbeddedPostgres, fsync=True, password=password))
    try:
        yield await trio.to_thread.run_sync(_prepare, server, password)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(server.close)


def _prepare(server: EmbeddedPostgres, password: Secret) -> Database:
    server.start()
    server.create_database(_NAME)
    bridge_password = Secret(secrets.token_urlsafe(24))
    with server.connect() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(_ROLE), sql.Literal(bridge_password.reveal())
            )
        )
    owner = server.dsn(_NAME, password=password.reveal())
    _install(owner, role=_ROLE)
    return Database(owner, PostgresSettings(dsn=server.dsn(_NAME, _ROLE), password=bridge_password), server)


def _install(owner: str, *, role: str | None) -> None:
    install(owner, DEMO_TABLE, routes=[ROUTE], role=role)
