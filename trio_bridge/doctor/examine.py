"""All hops of a configuration, from the database's name to the row that a panel gets: settings in, findings out.

The composition root of the doctor. *Owns* nothing beyond the call: the session to Postgres is closed at its end. It
changes nothing but a probe row in Grafana's memory, and a bridge that runs meanwhile notices nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from trio_bridge.config.names import parse_table
from trio_bridge.config.secretfile import read_secret
from trio_bridge.config.settings import RouteSettings, Settings
from trio_bridge.config.suggest import did_you_mean
from trio_bridge.doctor.hops import Finding, Hop, walk
from trio_bridge.doctor.postgres_server import PostgresServer
from trio_bridge.doctor.postgres_table import PostgresTable
from trio_bridge.doctor.reach_grafana import GrafanaReach
from trio_bridge.doctor.reach_postgres import PostgresReach
from trio_bridge.doctor.read_back import ReadBack
from trio_bridge.errors import ConfigError
from trio_bridge.grafana.credentials import authorization, secret_parts
from trio_bridge.grafana.panels import live_target


@dataclass(frozen=True, slots=True)
class PanelHint:
    """What to write into a panel to see a route.

    Attributes:
        route: its name.
        channel: of Grafana Live.
        target: the JSON of the panel's query.
        window: what the dashboard's time range must be like.
    """

    route: str
    channel: str
    target: dict[str, Any]
    window: str


def chosen_routes(settings: Settings, name: str | None) -> tuple[RouteSettings, ...]:
    """The routes to look at: all, or the one called `name`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name is None:
        return settings.route
    names = [route.name for route in settings.route]
    if name not in names:
        raise ConfigError(f"there is no route {name!r}{did_you_mean(name, names)}")
    return tuple(route for route in settings.route if route.name == name)


async def examine(
    settings: Settings,
    routes: Sequence[RouteSettings],
    *,
    config: str = "",
    report: Callable[[Finding], None],
) -> list[Finding]:
    """Looks at every hop of `routes`, in order.

    Args:
        settings: as `trio_bridge.config.load` makes them.
        routes: of these settings.
        config: words that make a command read the same configuration, with a space in front.
        report: hears of each finding as it is made.
    """
    reach = PostgresReach(settings.postgres)
    try:
        return await walk(
            [*_postgres(reach, settings, routes, config), *_grafana(settings, routes, config)],
            report=report,
            secrets=await _secrets(settings),
        )
    finally:
        reach.close()


def panel_hint(route: RouteSettings) -> PanelHint:
    """How a panel shows `route`."""
    measurement = route.measurement or _source_name(route)
    target = live_target(route.stream, measurement)
    rows = route.window_rows
    at_once = (
        f"it must reach back over the last {rows} rows, which are shown at once" if rows else "e.g. now-5m"
    )
    return PanelHint(
        route.name, target["channel"], target, f"a relative time range that ends in now; {at_once}"
    )


def _postgres(
    reach: PostgresReach, settings: Settings, routes: Sequence[RouteSettings], config: str
) -> list[Hop]:
    hops = reach.hops() + PostgresServer(reach, timeout_s=settings.postgres.connect_timeout_s).hops()
    tables = [PostgresTable(reach, settings.postgres, route, config=config) for route in routes]
    installed = next(
        (table for table, route in zip(tables, routes, strict=True) if route.table is not None), None
    )
    if installed is not None:
        hops.append(installed.installation())
    return hops + [hop for table in tables for hop in table.hops()]


def _grafana(settings: Settings, routes: Sequence[RouteSettings], config: str) -> list[Hop]:
    streams = list(dict.fromkeys(route.stream for route in routes))
    hops = GrafanaReach(settings.grafana, streams[0], config=config).hops()
    return hops + [ReadBack(settings.grafana, stream).hop() for stream in streams]


async def _secrets(settings: Settings) -> list[str]:
    """All that we show to the other sides; what cannot be read now is a finding later."""
    found: list[str] = []
    with suppress(ConfigError):
        found += secret_parts(await authorization(settings.grafana))
    password = settings.postgres.password
    if settings.postgres.password_file is not None:
        with suppress(ConfigError):
            password = read_secret(settings.postgres.password_file)
    if password is not None:
        found.append(password.reveal())
    return [secret for secret in found if secret]


def _source_name(route: RouteSettings) -> str:
    return parse_table(route.table).name if route.table is not None else str(route.channel)
