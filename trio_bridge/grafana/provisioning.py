"""Files from which Grafana loads dashboards and data sources as it starts: names → texts, in YAML and JSON.

    <folder>/provisioning/dashboards/provider.yaml     where dashboards are
    <folder>/provisioning/datasources/postgres.yaml    the table's past
    <folder>/dashboards/<name>.json

Grafana reads secrets itself, from a file or its environment: none is ever in a text made here. Pure, but for `write`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trio_bridge.errors import ConfigError
from trio_bridge.grafana.history_panel import SOURCE_TYPE, SOURCE_UID

DASHBOARDS: Final = "/etc/grafana/dashboards"
"""Where the provider looks for dashboards, in Grafana's own file system."""

PROVIDER: Final = f"""\
# Dashboards that Grafana loads from files, and again when a file changes.
apiVersion: 1
providers:
  - name: trio_bridge
    type: file
    options:
      path: {DASHBOARDS}
"""


@dataclass(frozen=True, slots=True)
class PostgresSource:
    """How Grafana reaches the table's past.

    Attributes:
        url: ``host:port``, or the folder of a Unix socket.
        database: its name.
        user: a role that may read the tables, and nothing else.
        password: where Grafana finds it: ``$__file{…}`` or ``$VARIABLE``.
        sslmode: ``disable``, ``require``, ``verify-ca`` or ``verify-full``.
    """

    url: str
    database: str
    user: str
    password: str
    sslmode: str = "require"


def source_yaml(source: PostgresSource) -> str:
    """The provisioning of the Postgres data source."""
    # A JSON string is a YAML string, whatever is in it; a dollar that is to stay one is doubled for Grafana.
    url, database, user, sslmode = (
        json.dumps(text.replace("$", "$$"), ensure_ascii=False)
        for text in (source.url, source.database, source.user, source.sslmode)
    )
    return f"""\
# The table's past, for the SQL panels. The uid is the one that the dashboards name.
apiVersion: 1
datasources:
  - name: trio_bridge
    uid: {SOURCE_UID}
    type: {SOURCE_TYPE}
    url: {url}
    user: {user}
    jsonData:
      database: {database}
      sslmode: {sslmode}
    secureJsonData:
      password: {source.password}
"""


def dashboard_json(model: Mapping[str, Any]) -> str:
    """A dashboard as a file: the same text for the same model."""
    return json.dumps(model, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Writes `texts`, named below `folder`; the files in their order.

    Raises:
        ConfigError: a file cannot be written.
    """
    written = []
    for name, text in texts.items():
        file = folder / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
        written.append(file)
    return written
