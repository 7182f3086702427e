"""What the server behind a session is like: version, role in its cluster, what stands in between, what it allows.

Looks with the bridge's own session, the one that `trio_bridge.doctor.reach_postgres` opened; LISTENs and NOTIFYs once
on a channel of its own. Changes nothing.

A bug of LISTEN (``could not access status of transaction``) was mended in PostgreSQL on 12 November 2025. The minor
releases of 13 November had been wrapped two days earlier, so the first that hold the change are those of February 2026.
"""

from __future__ import annotations

import secrets
import time
from typing import Final

import trio
from psycopg import sql

from trio_bridge.doctor.hops import POSTGRES, Hop, Verdict, failed, ok, warning
from trio_bridge.doctor.reach_postgres import LOGIN, PostgresReach
from trio_bridge.postgres.conninfo import SESSION_OPTIONS
from trio_bridge.postgres.queries import raw, statement

PRIMARY: Final = "postgres primary"
ONE_SESSION: Final = "postgres without a pooler"

FIRST_MINORS: Final = {14: 21, 15: 16, 16: 12, 17: 8, 18: 2}
"""By major version the first minor without the bug of LISTEN; see the module."""

# A notification to oneself arrives with the answer of the next statement; measured below a millisecond.
_NOTIFY_PATIENCE_S: Final = 2.0
# The queue is shared by the whole cluster and holds 8 GB by default: a listener that reads leaves it empty.
_QUEUE_WARNING: Final = 0.01
_QUEUE_FAILURE: Final = 0.5


class PostgresServer:
    """The hops that are about the server.

    Args:
        reach: logged in by the time the hops are looked at.
    """

    def __init__(self, reach: PostgresReach, *, timeout_s: float) -> None:
        self._reach = reach
        self._timeout_s = timeout_s
        self._facts: tuple[str | None, ...] = ()

    def hops(self) -> list[Hop]:
        """In the order in which a fault would hide the next."""
        log = "look at PostgreSQL's log"
        return [
            Hop("postgres version", POSTGRES, self._version, (LOGIN,), log),
            Hop(PRIMARY, POSTGRES, self._primary, (LOGIN,), log),
            Hop(ONE_SESSION, POSTGRES, self._one_session, (PRIMARY,), log),
            Hop("postgres transport", POSTGRES, self._transport, (PRIMARY,), log),
            Hop("postgres defaults", POSTGRES, self._defaults, (PRIMARY,), log),
            Hop("prepared transactions", POSTGRES, self._prepared, (PRIMARY,), log),
            Hop("notification queue", POSTGRES, self._queue, (PRIMARY,), log),
        ]

    async def _query(self, text: str, *params: str) -> list[tuple[str | None, ...]]:
        def run() -> list[tuple[str | None, ...]]:
            return self._reach.session.query(text, params, timeout_s=self._timeout_s)

        return await trio.to_thread.run_sync(run)

    async def _version(self) -> Verdict:
        await trio.lowlevel.checkpoint()
        return judged_version(self._reach.session.server_version)

    async def _primary(self) -> Verdict:
        (self._facts,) = await self._query(statement("queries/doctor_server"))
        if self._facts[0] == "t":
            return failed(
                "this server is a hot standby, where LISTEN does not work and the checkpoint cannot be written",
                "point postgres.dsn at the primary: name all hosts and add target_session_attrs=read-write",
            )
        return ok("this is the primary")

    async def _one_session(self) -> Verdict:
        remedy = "give host and port of PostgreSQL itself in postgres.dsn, not those of PgBouncer or another pooler"
        channel = f"trio_bridge_doctor_{secrets.token_hex(4)}"
        await self._query(raw("LISTEN {}").format(sql.Identifier(channel)).as_string())
        listening = await self._query("SELECT FROM pg_listening_channels() AS c WHERE c = $1", channel)
        pids = {str(self._reach.session.backend_pid)}
        for _ in range(3):
            pids.update(str(pid) for (pid,) in await self._query("SELECT pg_backend_pid()"))
        if not listening:
            return failed(
                "LISTEN is forgotten at the next statement: a transaction pooler stands in between", remedy
            )
        if len(pids) > 1:
            return failed(
                f"one session is answered by several backends (pids {', '.join(sorted(pids))}): "
                "a pooler stands in between",
                remedy,
            )
        if not await trio.to_thread.run_sync(self._rings, channel):
            return failed("a NOTIFY did not come back to the session that listens for it", remedy)
        await self._query(raw("UNLISTEN {}").format(sql.Identifier(channel)).as_string())
        held = self._facts[3], self._facts[4]
        if held != (SESSION_OPTIONS["default_transaction_isolation"], "5s"):
            return failed(
                f"the settings of our session did not arrive (isolation {held[0]}, idle_session_timeout {held[1]}): "
                "a pooler drops them",
                remedy,
            )
        return ok("LISTEN, NOTIFY and settings stay in one session")

    def _rings(self, channel: str) -> bool:
        session = self._reach.session
        session.query("SELECT pg_notify($1, '')", (channel,), timeout_s=self._timeout_s)
        until = time.monotonic() + _NOTIFY_PATIENCE_S
        while True:
            if any(heard.channel == channel for heard in session.notifications()):
                return True
            if time.monotonic() >= until:
                return False
            session.wait(until)

    async def _transport(self) -> Verdict:
        await trio.lowlevel.checkpoint()
        if self._facts[1] == "t":
            return warning(
                "connected through a Unix socket, where Postgres cannot cut a bridge off that is frozen in a write: "
                "its locks stay until a second replica, if there is one, ends its session",
                "write host=127.0.0.1 in postgres.dsn",
            )
        return ok("TCP: a frozen bridge loses its locks after about 5 s")

    async def _defaults(self) -> Verdict:
        await trio.lowlevel.checkpoint()
        said = self._facts[7]
        if not said:
            return ok(f"role {self._facts[2]} and database set nothing of their own")
        return ok(f"role or database set {said}: harmless, the bridge's session sets what it needs itself")

    async def _prepared(self) -> Verdict:
        await trio.lowlevel.checkpoint()
        allowed = self._facts[5]
        if allowed != "0":
            return warning(
                f"max_prepared_transactions is {allowed}: a NOTIFY would break PREPARE TRANSACTION, "
                "so the bridge polls and rows come up to a message interval later",
                "if nobody uses two-phase commit: ALTER SYSTEM SET max_prepared_transactions = 0, then restart",
            )
        return ok("none: the trigger may ring")

    async def _queue(self) -> Verdict:
        await trio.lowlevel.checkpoint()
        usage = float(self._facts[6] or 0)
        find = (
            "find the listener that does not read and end it with pg_terminate_backend: SELECT pid, application_name, "
            "state, xact_start FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start"
        )
        sentence = f"the notification queue is {usage:.1%} full"
        if usage >= _QUEUE_FAILURE:
            return failed(f"{sentence}: when it is full, every COMMIT with a NOTIFY fails", find)
        if usage >= _QUEUE_WARNING:
            return warning(f"{sentence}: some listener does not read", find)
        return ok(sentence)


def judged_version(number: int) -> Verdict:
    """What a server version, e.g. 170006, is good for."""
    major, minor = divmod(number, 10_000)
    if major < min(FIRST_MINORS):
        return failed(
            f"this is PostgreSQL {major}.{minor}: it must be 14 or newer",
            "upgrade PostgreSQL to a version that is still maintained",
        )
    if minor < FIRST_MINORS.get(major, 0):
        return warning(
            f"PostgreSQL {major}.{minor} can fail at LISTEN with `could not access status of transaction`",
            f"update to {major}.{FIRST_MINORS[major]} or newer",
        )
    return ok(f"PostgreSQL {major}.{minor}")
