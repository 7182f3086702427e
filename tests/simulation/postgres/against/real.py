"""The real server's side of a comparison. Nobody else may draw a transaction id there: no autovacuum, no other test."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, NamedTuple, Self

import psycopg

from tests.postgres.eye import attempts
from tests.simulation.postgres.against.reader import ROUTE, Reader
from tests.simulation.postgres.against.steps import READERS, WRITERS
from tests.simulation.postgres.rows import Point
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.handover import Wake
from trio_bridge.postgres.queries import GATE_CLASS
from trio_bridge.postgres.session import Session

HEARTBEAT_S = 0.1
"""Also how long a statement waits for a locked table."""

GONE_S = 10.0
"""Longest that a closed session may take to be gone, or a new one to come. A guess, generous."""

_RESET = f"""
    ALTER TABLE live_metrics ENABLE TRIGGER ALL;
    TRUNCATE live_metrics RESTART IDENTITY;
    DROP INDEX IF EXISTS by_time;
    DELETE FROM trio_bridge.checkpoint WHERE name = '{ROUTE}';
"""
_FIRST = """
    INSERT INTO trio_bridge.checkpoint (name, snapshot, system_identifier)
    SELECT %s, pg_current_snapshot(), (SELECT system_identifier FROM pg_control_system())
"""


class Facts(NamedTuple):
    """What the model must be made with to be the same cluster."""

    next_xid: int
    oid: int
    system_identifier: int


class RealWorld:
    """Sessions on a server where the bridge is installed; use it in a ``with`` block.

    Args:
        server: without autovacuum.
        database: which.
        fresh: empty the table and begin with a first checkpoint; False: go on with what is there.
        synchronous: ``synchronous_commit`` at first.
        time_index: whether there is an index on the time; only if fresh.

    Attributes:
        facts: about the cluster, before its first checkpoint row.
    """

    def __init__(
        self,
        server: EmbeddedPostgres,
        database: str,
        *,
        fresh: bool = True,
        synchronous: bool = True,
        time_index: bool = False,
    ) -> None:
        self._server = server
        self._fresh = fresh
        self._synchronous = synchronous
        self._time_index = time_index
        self._database = database
        self._stack = ExitStack()
        self._trigger = True
        self._names: dict[int, str] = {}

    def __enter__(self) -> Self:
        self._attempt = attempts(self._server.dsn(self._database), heartbeat_s=HEARTBEAT_S)[0]
        self._wake = self._stack.enter_context(closing(Wake()))
        self._observer = self._connect("stranger")
        if self._fresh:
            self._observer.execute(_RESET)
            if self._time_index:
                self._observer.execute('CREATE INDEX by_time ON live_metrics ("timestamp")')
            self._observer.execute(_FIRST, (ROUTE,))
        facts = self._one(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8 - 1, 'live_metrics'::regclass::oid::int8, "
            "(SELECT system_identifier FROM pg_control_system())"
        )
        self.facts = Facts(*facts)
        self._writers = [self._connect(f"writer {number}") for number in range(WRITERS)]
        self.readers = [
            Reader(partial(self._open, f"reader {number}"), self._names.__getitem__)
            for number in range(READERS)
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self.readers:
            reader.session.close()
        self._stack.close()

    def snapshot(self) -> str:
        """As an outsider sees it."""
        return str(self._one("SELECT pg_current_snapshot()")[0])

    def write(self, number: int, act: str, argument: Any) -> Any:
        """What a writer does; what it sees of it."""
        writer = self._writers[number]
        # Anew each time: what is set in a transaction is rolled back with it.
        writer.execute(self._setting)
        match act:
            case "insert":
                self._insert(writer, *argument)
            case "notify":
                writer.execute("SELECT pg_notify('influx_feed', %s)", (argument.decode(),))
            case "gate":
                how, shared = argument
                name = {"try": "pg_try_advisory_lock", "free": "pg_advisory_unlock"}[how]
                suffix = "_shared" if shared else ""
                query = f"SELECT {name}{suffix}(%s, %s::oid::int4)"
                return writer.execute(query, (GATE_CLASS, self.facts.oid)).fetchone()
            case "draw":
                return writer.execute("SELECT pg_current_xact_id()::text::int8").fetchone()
            case "rollback_to":
                writer.execute(f"ROLLBACK TO {argument}")
            case _:
                writer.execute(f"{act} {argument or ''}")
        return None

    def set_synchronous(self, *, on: bool) -> None:
        """``synchronous_commit`` of everybody, from now on."""
        self._synchronous = on
        for reader in self.readers:
            reader.session.query(self._setting, timeout_s=GONE_S)

    def toggle_trigger(self) -> None:
        """The table's trigger off, or on again."""
        self._trigger = not self._trigger
        self._observer.execute(
            f"ALTER TABLE live_metrics {'ENABLE' if self._trigger else 'DISABLE'} TRIGGER trio_bridge_bell"
        )

    def refused(self, reader: Reader) -> Any:
        """What `reader` gets while a stranger has the table."""
        with self._observer.transaction():
            self._observer.execute("LOCK TABLE live_metrics IN ACCESS EXCLUSIVE MODE")
            return reader.refused()

    def _insert(self, writer: psycopg.Connection, points: list[Point], ids: list[int] | None) -> None:
        columns, values = '"timestamp", value, sensor', "(%s, %s, %s)"
        rows = [tuple(point) for point in points]
        if ids is not None:
            columns, values = f"id, {columns}", "(%s, %s, %s, %s)"
            rows = [(number, *row) for number, row in zip(ids, rows, strict=True)]
        if not rows:
            writer.execute("INSERT INTO live_metrics (value) SELECT 1 WHERE false")
            return
        writer.execute(
            f"INSERT INTO live_metrics ({columns}) OVERRIDING SYSTEM VALUE VALUES "
            + ", ".join([values] * len(rows)),
            [cell for row in rows for cell in row],
        )

    def _connect(self, name: str) -> psycopg.Connection:
        connection = self._server.connect(self._database)
        self._stack.callback(connection.close)
        connection.prepare_threshold = None
        self._names[connection.info.backend_pid] = name
        return connection

    def _open(self, name: str) -> Session:
        """A session of a reader; the one that it has closed is gone, with its locks."""
        closed = [pid for pid, other in self._names.items() if other == name]
        deadline = time.monotonic() + GONE_S
        while self._one("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", closed) != (0,):
            assert time.monotonic() < deadline, f"{name}'s session does not end"
        session = Session.connect(self._attempt, self._wake, timeout_s=GONE_S)
        self._names[session.backend_pid] = name
        session.query(self._setting, timeout_s=GONE_S)
        return session

    @property
    def _setting(self) -> str:
        return f"SET synchronous_commit = {'on' if self._synchronous else 'off'}"

    def _one(self, query: str, *params: Any) -> tuple[Any, ...]:
        row = self._observer.execute(query, params or None).fetchone()
        assert row is not None
        return row
