"""Rows of any shape, made by real SQL, on their way through a real bridge; and what the Live server made of them.

`rows_of` makes a table (or none, for a channel route), installs the bridge for it and runs it in this process, without
keyframes, so that each point is a row. When the block ends nothing may be unaccounted for: no message was dropped by
the server's parser, and as many points arrived as rows were acknowledged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from tests.chaos.bridges import running_bridge, settings_for
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import RouteSettings
from trio_bridge.ledger import LedgerStatistics
from trio_bridge.live.lines import Point
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install
from trio_bridge.route import Route


class Rows:
    """See the module."""

    def __init__(self, database: Database, live: LiveServer, route: Route) -> None:
        self.live = live
        self.route = route
        self._database = database

    def execute(self, statement: Any, *parameters: Any) -> None:
        """One statement, in autocommit."""
        self._database.execute(statement, *parameters)

    def connect(self) -> psycopg.Connection:
        """For many statements."""
        return self._database.connect()

    async def settled(self, rows: int) -> LedgerStatistics:
        """The books when `rows` rows have been seen and none is on its way."""
        books = self.route.ledger.statistics
        await wait_until(lambda: books().seen >= rows and books().pending == 0)
        found = books()
        assert found.seen == rows
        assert found.balanced
        return found

    @property
    def points(self) -> list[Point]:
        """In the order in which they were processed."""
        return [point for delivery in self.live.deliveries for point in delivery.points]

    @property
    def by_id(self) -> dict[int, Point]:
        """By the field ``id``."""
        return {int(point.fields["id"]): point for point in self.points}


@asynccontextmanager
async def rows_of(
    database: Database, ddl: str, *, table: str | None = "public.m", **route: Any
) -> AsyncIterator[Rows]:
    """A bridge for the table that `ddl` makes, or for a channel (``table=None, channel=…``).

    Args:
        database: an empty one.
        ddl: run before the installation.
        table: as the settings write it.
        route: further settings of the route.
    """
    if ddl:
        database.execute(ddl)
    if table is not None:
        install(database.dsn, parse_table(table), routes=["r"])
    async with LiveServer(keep_log=True) as live:
        settings = RouteSettings(name="r", table=table, **{"history_rows": 0, **route})
        async with running_bridge(settings_for(database.dsn, live, settings)) as service:
            await live.wait_connections(1)
            rows = Rows(database, live, service.routes[0])
            yield rows
        books = rows.route.ledger.statistics()
        assert live.counters.dropped == 0, "a message did not parse"
        assert (live.counters.connections, books.restarts) == (1, 0)
        assert len(rows.points) == books.acknowledged
