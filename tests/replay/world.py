"""What the replay's tests share: a table with rows at known times, and one replay of it into the Live server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import trio
from msgspec import structs
from structlog.testing import CapturingLogger
from structlog.typing import FilteringBoundLogger

from tests.chaos.bridges import settings_for
from tests.decoder.test_stage import bound
from tests.pg import Database
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import RouteSettings, ServiceSettings
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install
from trio_bridge.replay.pages import Span
from trio_bridge.replay.run import Outcome, Replay

TABLE = "public.live_metrics"
ROUTE = RouteSettings(name=TABLE, table=TABLE, fields=("id", "value"))
START = datetime(2026, 1, 1, tzinfo=UTC)


def table(database: Database, rows: int, *, indexed: bool = True) -> None:
    """Installed, with `rows` rows a second apart from `START` on; ids rise against the time."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    if indexed:
        database.execute(f'CREATE INDEX ON {TABLE} ("timestamp")')
    database.execute(
        f"""
        INSERT INTO {TABLE} ("timestamp", value)
        SELECT timestamptz '{START.isoformat()}' + make_interval(secs => %s - g), %s - g FROM generate_series(1, %s) g
        """,
        rows,
        rows,
        rows,
    )


def seconds(first: float, last: float, after: tuple[str, ...] | None = None) -> Span:
    """The range of the rows `first` to before `last` of `table`."""
    return Span(START + timedelta(seconds=first), START + timedelta(seconds=last), after)


async def replayed(
    database: Database,
    live: LiveServer,
    span: Span,
    *,
    route: RouteSettings = ROUTE,
    stop: trio.Event | None = None,
    measurement: str | None = None,
    rate: int | None = None,
    logger: CapturingLogger | None = None,
    drain_timeout_s: float = 20.0,
    at_once: trio.CancelScope | None = None,
) -> Outcome:
    """One replay from beginning to end."""
    log: FilteringBoundLogger = bound(logger or CapturingLogger())
    settings = structs.replace(
        settings_for(database.dsn, live, route), service=ServiceSettings(drain_timeout_s=drain_timeout_s)
    )
    return await Replay(settings, route, span, measurement=measurement, rate=rate, log=log).run(
        trio.Event() if stop is None else stop, at_once
    )


def values(live: LiveServer, field: str = "value") -> list[Any]:
    """What the Live server published, in its order."""
    return [point.fields[field] for delivery in live.deliveries for point in delivery.points]
