"""A bridge in this process that delivers from a table to a Live server, and the books of what arrived.

`delivering` makes the table of the chaos runs, installs it, starts Live server and bridge, and yields a `Delivering`:
rows go in by `insert`, `wait_arrived` waits for them, and `assert_intact` holds everything that was committed against
everything that arrived. The bridge may go through a proxy (`through`), while the test talks to the server itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import trio
from msgspec import structs
from psycopg.conninfo import make_conninfo

from tests.chaos.bridges import running_bridge, settings_for
from tests.chaos.run import FIELDS, queue_usage, wait_all_delivered
from tests.chaos.sink import Sink, Verdict
from tests.chaos.writers import INSERT, SCHEMA, TABLE
from tests.faults.proxy import FaultProxy
from tests.waiting import wait_until
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import PostgresSettings, RouteSettings
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install
from trio_bridge.route import Route
from trio_bridge.service import Service

UNSAVED = (
    "SELECT EXISTS (SELECT FROM chaos r, trio_bridge.checkpoint c "
    "WHERE NOT pg_visible_in_snapshot(r.txid, c.snapshot))"
)

ROUTE = RouteSettings(name=TABLE, table=TABLE, fields=FIELDS)


def prepare(dsn: str) -> None:
    """The table, watched, in the database at `dsn`."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SCHEMA)
    install(dsn, parse_table(TABLE), routes=[TABLE])


def through(proxy: FaultProxy, dsn: str) -> str:
    """`dsn` by way of `proxy`."""
    host, port = proxy.listens_on
    return make_conninfo(dsn, host=host, port=port)


def insert(dsn: str, rows: int = 1, *, first_id: int | None = None, note: str = "") -> list[int]:
    """Commit `rows` rows in one transaction; their ids.

    Args:
        dsn: where to.
        rows: how many.
        first_id: they are numbered from here; None: as the sequence says.
        note: of each.
    """
    with psycopg.connect(dsn) as connection:
        ids: list[int] = []
        for number in range(rows):
            if first_id is None:
                found = connection.execute(
                    INSERT + " RETURNING id", (number % 2, number / 7, note)
                ).fetchone()
            else:
                found = connection.execute(
                    f"INSERT INTO {TABLE} (id, part, value, note) VALUES (%s, 0, %s, %s) RETURNING id",
                    (first_id + number, number / 7, note),
                ).fetchone()
            assert found is not None
            ids.append(found[0])
    return ids


@dataclass(slots=True)
class Delivering:
    """See the module.

    Attributes:
        dsn: of the server itself; change it when another takes over.
        live: where rows go.
        sink: what arrived.
        service: the bridge.
    """

    dsn: str
    live: LiveServer
    sink: Sink
    service: Service

    @property
    def route(self) -> Route:
        return self.service.routes[0]

    @property
    def failures(self) -> int:
        """Runs that have failed."""
        return self.route.ledger.statistics().restarts

    async def insert(self, rows: int = 1) -> list[int]:
        """Commit rows beside the loop; their ids."""
        return await trio.to_thread.run_sync(insert, self.dsn, rows)

    async def wait_arrived(self, ids: Iterable[int]) -> None:
        """Until each has been processed by the Live server."""
        wanted = list(ids)
        await wait_until(lambda: all(self.sink.times(key) for key in wanted))

    async def wait_saved(self) -> None:
        """Until the checkpoint covers every row that is committed."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            await wait_until(lambda: connection.execute(UNSAVED).fetchone() == (False,))

    async def wait_failed(self, failures: int) -> float:
        """Until as many runs have failed; when the last one did, monotonic seconds."""
        await wait_until(lambda: self.failures >= failures and self.route.last_failure is not None)
        assert self.route.last_failure is not None
        return self.route.last_failure.at

    async def assert_intact(self, *, duplicates: int | None = None) -> Verdict:
        """All committed rows arrived as they are, nothing else did, and nobody's queue filled up.

        Args:
            duplicates: exactly so many; None: as many as there were.
        """
        await wait_all_delivered(self.dsn, TABLE, self.sink, limit_s=20)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            verdict = self.sink.compare(connection, TABLE)
        assert (verdict.lost, verdict.phantoms, verdict.altered) == (0, 0, 0), str(verdict)
        assert duplicates is None or verdict.duplicates == duplicates, str(verdict)
        assert queue_usage(self.dsn) < 0.01
        statistics = self.route.ledger.statistics()
        assert statistics.balanced, statistics
        return verdict


@asynccontextmanager
async def delivering(dsn: str, *, via: str | None = None, **postgres: Any) -> AsyncIterator[Delivering]:
    """An installed table, a Live server and a bridge that is connected to both.

    Args:
        dsn: an empty database.
        via: how the bridge gets there; None: as everybody.
        postgres: further settings of that section.
    """
    async with starting(dsn, via=via, **postgres) as world:
        await world.live.wait_connections(1)
        yield world


@asynccontextmanager
async def starting(dsn: str, *, via: str | None = None, **postgres: Any) -> AsyncIterator[Delivering]:
    """As `delivering`, but does not wait until rows can flow."""
    await trio.to_thread.run_sync(prepare, dsn)
    sink = Sink()
    async with LiveServer(on_message=sink) as live:
        settings = structs.replace(
            settings_for(dsn, live, ROUTE), postgres=PostgresSettings(dsn=via or dsn, **postgres)
        )
        async with running_bridge(settings) as service:
            yield Delivering(dsn, live, sink, service)
