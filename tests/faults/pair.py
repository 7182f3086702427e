"""Two replicas as services in this process: for Postgres they are as apart as two machines.

`two` starts the one that leads and the one that stands by, on the table of the chaos runs, before one Live server; the
first one's way there leads through a proxy. *Owns* all of them; ends with the block.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
import trio
from msgspec import structs

from tests.chaos.bridges import running_bridge, settings_for
from tests.chaos.run import wait_all_delivered
from tests.chaos.sink import Verdict
from tests.chaos.writers import TABLE
from tests.faults.delivering import ROUTE, prepare
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.faults.replicas import Arrivals
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.config.settings import Settings
from trio_bridge.live.server import LiveServer
from trio_bridge.route import Route

CONNECT_TIMEOUT_S = 2.0
"""Of the first one's attempts to reach Grafana."""


@dataclass(slots=True)
class Two:
    """Two replicas: `first` leads.

    Attributes:
        arrivals: what came, and how.
        way: of the first one's to Grafana.
    """

    database: Database
    live: LiveServer
    first: Route
    second: Route
    arrivals: Arrivals
    way: FaultProxy

    async def verdict(self, *, duplicates: int | None = None) -> Verdict:
        """Everything that was committed has arrived, and nothing else."""
        await wait_all_delivered(self.database.dsn, TABLE, self.arrivals.sink, limit_s=20)
        with psycopg.connect(self.database.dsn) as connection:
            verdict = self.arrivals.sink.compare(connection, TABLE)
        assert (verdict.lost, verdict.phantoms, verdict.altered) == (0, 0, 0), str(verdict)
        assert duplicates is None or verdict.duplicates == duplicates, str(verdict)
        return verdict


@asynccontextmanager
async def two(database: Database, **second: object) -> AsyncIterator[Two]:
    """Both run, rows flow through the first; `second` are settings of the other's route that differ."""
    await trio.to_thread.run_sync(prepare, database.dsn)
    arrivals = Arrivals()
    async with LiveServer(on_message=arrivals) as live, fault_proxy("127.0.0.1", live.port) as way:
        direct = settings_for(database.dsn, live, ROUTE)
        url = f"http://127.0.0.1:{way.listens_on[1]}"
        detour = structs.replace(
            direct, grafana=structs.replace(direct.grafana, url=url, connect_timeout_s=CONNECT_TIMEOUT_S)
        )
        other: Settings = structs.replace(direct, route=(structs.replace(ROUTE, **second),))
        async with running_bridge(detour) as first:
            await live.wait_connections(1)
            async with running_bridge(other) as second_service:
                route = second_service.routes[0]
                await wait_until(lambda: route.status.phase == "standby")
                yield Two(database, live, first.routes[0], route, arrivals, way)
