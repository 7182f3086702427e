"""The command ``dashboard``: routes and a look at their tables → dashboards, printed, written or sent to Grafana.

Puts together what knows nothing of each other: the catalogue, the mapping, the layout, Grafana's API. Reads no row and
needs no installed bridge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

from psycopg.conninfo import conninfo_to_dict

from trio_bridge.config.dsn import with_password
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import GrafanaSettings, PostgresSettings, RouteSettings
from trio_bridge.decoder.mapping import map_channel, map_table
from trio_bridge.errors import ConfigError
from trio_bridge.grafana.api import open_api
from trio_bridge.grafana.credentials import authorization
from trio_bridge.grafana.dashboard import push_dashboard, route_dashboard
from trio_bridge.grafana.history_panel import SOURCE_UID
from trio_bridge.grafana.provisioning import PROVIDER, PostgresSource, dashboard_json, source_yaml
from trio_bridge.postgres.shape import table_shape

Json = dict[str, Any]

# libpq tries TLS first and goes on without it; Grafana has to be told one or the other.
_SSLMODES = ("disable", "require", "verify-ca", "verify-full")


def chosen(routes: Sequence[RouteSettings], table: str | None) -> Sequence[RouteSettings]:
    """The routes to make dashboards for: all, or those that read `table`; one with defaults if none does.

    Raises:
        ConfigError: there is none.
    """
    if table is not None:
        wanted = parse_table(table)
        reading = [
            route for route in routes if route.table is not None and parse_table(route.table) == wanted
        ]
        return reading or [RouteSettings(name=table, table=table)]
    if not routes:
        raise ConfigError("no route: give --table, TRIO_BRIDGE_TABLE or a [[route]] in the file")
    return routes


def models(routes: Sequence[RouteSettings], postgres: PostgresSettings | None) -> list[Json]:
    """The dashboard of each route. Blocks.

    Args:
        routes: see `chosen`.
        postgres: where the tables are; None: there are only channel routes.

    Raises:
        ConfigError: a table is not there, or a route does not suit it.
        SourceError: Postgres cannot be reached.
    """
    made = []
    for route in routes:
        if route.table is None or postgres is None:
            made.append(route_dashboard(map_channel(route), history_rows=route.window_rows, table=None))
            continue
        table = parse_table(route.table)
        mapping = map_table(route, table_shape(with_password(postgres), table))
        made.append(route_dashboard(mapping, history_rows=route.window_rows, table=table))
    return made


def texts(made: Sequence[Mapping[str, Any]], postgres: PostgresSettings | None) -> dict[str, str]:
    """The files to be put before a Grafana: the dashboards and their provisioning."""
    files = {f"dashboards/{model['uid']}.json": dashboard_json(model) for model in made}
    files["provisioning/dashboards/provider.yaml"] = PROVIDER
    if postgres is not None:
        files["provisioning/datasources/postgres.yaml"] = source_yaml(_source(postgres))
    return files


async def push(grafana: GrafanaSettings, made: Sequence[Json]) -> list[str]:
    """Saves the dashboards; a line for each, and one more where something is missing for it.

    Raises:
        ConfigError: the credentials cannot be used.
        SinkError: Grafana cannot be reached or refuses.
    """
    said = []
    async with open_api(grafana, await authorization(grafana)) as api:
        for model in made:
            path, has_source = await push_dashboard(api, model)
            said.append(f"{model['title']}: {urljoin(grafana.url, path)}")
            if not has_source and any(panel["datasource"]["uid"] == SOURCE_UID for panel in model["panels"]):
                said.append(
                    f'its SQL panel needs a PostgreSQL data source with the uid "{SOURCE_UID}", which this Grafana '
                    "has not: `trio-bridge dashboard --out DIR` writes its provisioning"
                )
    return said


def _source(postgres: PostgresSettings) -> PostgresSource:
    options = {name: str(value) for name, value in conninfo_to_dict(postgres.dsn).items()}
    # Of several hosts Grafana can have one.
    host, port = options.get("host", "localhost").split(",")[0], options.get("port", "5432").split(",")[0]
    user = options.get("user", "postgres")
    sslmode = options.get("sslmode", "")
    file = postgres.password_file
    return PostgresSource(
        url=host if host.startswith("/") else f"{host}:{port}",
        database=options.get("dbname", user),
        user=user,
        password="$TRIO_BRIDGE_POSTGRES_PASSWORD" if file is None else f"$__file{{{file}}}",
        sslmode=sslmode if sslmode in _SSLMODES else "require",
    )
