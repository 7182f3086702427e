"""What lies in the folder ``grafana/`` of the repository for the compose stack: file names → texts.

``python -m trio_bridge.grafana.shipped grafana`` writes them again; a test compares. They are what `dashboard` makes of
the demo table with a series per sensor, which is how the stack's bridge is set up.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from trio_bridge.config.names import TableName
from trio_bridge.config.settings import RouteSettings
from trio_bridge.decoder.mapping import Column, TableShape, map_table
from trio_bridge.grafana.dashboard import route_dashboard
from trio_bridge.grafana.health import SOURCE_UID, health_dashboard
from trio_bridge.grafana.provisioning import (
    PROVIDER,
    PostgresSource,
    dashboard_json,
    source_yaml,
    write,
)

TABLE: Final = TableName("public", "live_metrics")

SHAPE: Final = TableShape(
    "live_metrics",
    (
        Column("id", "int8"),
        Column("timestamp", "timestamptz"),
        Column("value", "float8"),
        Column("sensor", "text"),
        Column("txid", "xid8"),
    ),
    ("id",),
)
"""As ``install`` makes the table."""

# Five minutes, the dashboard's range, at the feed's ten rows a second.
ROUTE: Final = RouteSettings(
    name="public.live_metrics", table="public.live_metrics", series="sensor", history_rows=3_000
)

SOURCE: Final = PostgresSource(
    url="postgres:5432",
    database="metrics",
    user="viewer",
    password="$__file{/run/secrets/viewer_password}",  # noqa: S106 - where it is, not what it is
    sslmode="disable",
)

PROMETHEUS: Final = f"""\
# The bridge's own figures. Only the profile "metrics" starts a Prometheus; without it that dashboard stays empty.
apiVersion: 1
datasources:
  - name: Prometheus of trio_bridge
    uid: {SOURCE_UID}
    type: prometheus
    url: http://prometheus:9090
    jsonData:
      timeInterval: 5s
"""


def texts() -> dict[str, str]:
    """Every generated file by its name."""
    live = route_dashboard(map_table(ROUTE, SHAPE), history_rows=ROUTE.window_rows, table=TABLE)
    return {
        "provisioning/dashboards/provider.yaml": PROVIDER,
        "provisioning/datasources/postgres.yaml": source_yaml(SOURCE),
        "provisioning/datasources/prometheus.yaml": PROMETHEUS,
        "dashboards/live_metrics.json": dashboard_json({**live, "title": "Live metrics"}),
        "dashboards/trio_bridge.json": dashboard_json(health_dashboard()),
    }


if __name__ == "__main__":
    write(Path(sys.argv[1]), texts())
