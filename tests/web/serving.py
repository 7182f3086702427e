"""A bridge in this process that serves its status, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import structlog
from msgspec import structs

from tests.chaos.bridges import running_bridge, settings_for
from tests.pg import Database
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import (
    GrafanaSettings,
    HttpSettings,
    PostgresSettings,
    RouteSettings,
    Settings,
)
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install
from trio_bridge.route import Route
from trio_bridge.secret import Secret
from trio_bridge.service import Service

TABLE = "public.live_metrics"
TABLE_ROUTE = RouteSettings(name=TABLE, table=TABLE, fields=("id", "value"))
CHANNEL_ROUTE = RouteSettings(name="feed", channel="feed")


@asynccontextmanager
async def serving(
    database: Database, live: LiveServer, *routes: RouteSettings
) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    """A running service with `routes` (default: the table's), at a free port."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    settings = structs.replace(
        settings_for(database.dsn, live, *(routes or (TABLE_ROUTE,))),
        http=HttpSettings(listen="127.0.0.1:0"),
    )
    async with running_bridge(settings) as service:
        assert service.url is not None
        async with httpx.AsyncClient(base_url=service.url) as client:
            yield service, client


def resting(*routes: RouteSettings) -> list[Route]:
    """Routes that never ran."""
    settings = Settings(
        postgres=PostgresSettings(dsn="host=nowhere"),
        grafana=GrafanaSettings(url="http://nowhere", token=Secret("t")),
        route=routes,
    )
    return [Route(settings, route, structlog.get_logger()) for route in routes]
