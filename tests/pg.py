"""What a test sees of its own database: a DSN, connections and one-line statements."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psycopg

from trio_bridge.demo.postgres import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class Database:
    """A fresh database that exists for one test.

    Attributes:
        server: the server it lives on, shared by the whole run: never stop or crash that one.
        name: of the database.
    """

    server: EmbeddedPostgres
    name: str

    @property
    def dsn(self) -> str:
        """Connection string of the superuser."""
        return self.server.dsn(self.name)

    def connect(self, *, autocommit: bool = True, **parameters: Any) -> psycopg.Connection:
        """A new connection; the test owns it: use it in a ``with`` block."""
        return psycopg.connect(self.server.dsn(self.name, **parameters), autocommit=autocommit)

    def execute(self, statement: Any, *parameters: Any) -> list[tuple[Any, ...]]:
        """Runs one statement on a connection of its own, in autocommit, and returns its rows (none: [])."""
        with self.connect() as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def sessions(self) -> list[str]:
        """Application name and last statement of every client that is connected to this database."""
        query = """
            SELECT application_name || ': ' || left(query, 100) FROM pg_stat_activity
            WHERE datname = %s AND backend_type = 'client backend'
        """
        with self.server.connect() as connection:
            return [row[0] for row in connection.execute(query, (self.name,))]

    def wait_no_sessions(self, limit_s: float = 5.0) -> list[str]:
        """Waits until nobody is connected; what is left at the limit (a backend outlives its client)."""
        deadline = time.monotonic() + limit_s
        while (left := self.sessions()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return left
