"""A route's dashboard: what its rows become and where they are → the JSON that Grafana loads, and where it is put.

    live curves      │ the same from the table, in SQL
    gauges           │ last values
    states, if there are booleans
    the rows, latest first

Panels are those of `panels` (they know the traps) and `history_panel`; a column's name gives its unit. The uid follows
from the channel, so that making a dashboard again replaces it. `push_dashboard` sends it through Grafana's API;
everything else here is pure.
"""

from __future__ import annotations

import re
import zlib
from typing import Any, Final

from trio_bridge.config.names import TableName
from trio_bridge.decoder.mapping import Mapping
from trio_bridge.grafana import panels
from trio_bridge.grafana.api import Api
from trio_bridge.grafana.history_panel import SOURCE_UID, drawable, history_panel
from trio_bridge.grafana.units import scale_of, unit_of

Json = dict[str, Any]

# Relative and ending in now, or a live panel stands still. Guess: a window of 1,000 rows at some rows a second.
_RANGE: Final = {"from": "now-5m", "to": "now"}

# Grafana (models of dashboards) allows 40 characters.
_UID_CHARS: Final = 40

# JSON has no comments; whoever copies a target from here should read this.
_WARNING: Final = (
    "Live panels and the same table in SQL, made by trio_bridge. A live target needs queryType=measurements: "
    "without it the panel shows Grafana's random walk, a plausible curve that has nothing to do with the data."
)

_SCHEMA_VERSION: Final = 39
"""Of the dashboards of Grafana 11; newer ones bring it up to date as they load it."""


def dashboard(uid: str, title: str, placed: list[Json], *, refresh: str, description: str) -> Json:
    """The model of a dashboard.

    Args:
        uid: identifies it in its Grafana.
        title: of the dashboard.
        placed: its panels with their places; they get their ids here.
        refresh: how often panels that ask are asked again, e.g. ``10s``; live ones take no notice.
        description: what a reader of the dashboard, or of its JSON, should know.
    """
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["trio_bridge"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": _RANGE,
        "refresh": refresh,
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": [{"id": number, **panel} for number, panel in enumerate(placed, 1)],
    }


def route_dashboard(mapping: Mapping, *, history_rows: int, table: TableName | None) -> Json:
    """The dashboard of a route.

    Args:
        mapping: what its rows become.
        history_rows: of the route (`RouteSettings.window_rows`).
        table: where its rows are; None: a channel route, which has no past.
    """
    name = mapping.measurement
    series = mapping.series is not None
    made = panels.panels_for(mapping, history_rows=history_rows, series=series)
    curves = [panel for panel in made if panel["type"] == "timeseries"]
    rows: list[list[Json]] = [[panel] for panel in curves]
    if curves and table is not None:
        rows[0].append(history_panel(f"{name}: from the table", mapping, table))
    figures = [panel for panel in made if panel["type"] == "stat"]
    numbers = [field for field in mapping.fields if field.kind == "number"]
    if numbers:
        target = figures[0]["targets"][0]
        units = {unit_of(field.name) for field in numbers}
        least, most = (scale_of(units.pop()) if len(units) == 1 else None) or (None, None)
        gauge = panels.gauge(f"{name}: gauges", target, history_rows=history_rows, least=least, most=most)
        rows.insert(1, [gauge, *figures])
    every = () if series else tuple(field.name for field in mapping.fields)
    target = panels.live_target(mapping.stream, name, every)
    rows.append([panels.table(f"{name}: rows", target, history_rows=history_rows)])
    for panel in (panel for row in rows for panel in row):
        _give_units(panel, mapping)
    return dashboard(
        dashboard_uid(mapping), f"Live: {name}", placed(rows), refresh="10s", description=_WARNING
    )


def dashboard_uid(mapping: Mapping) -> str:
    """The same for the same channel, in every Grafana."""
    uid = re.sub(r"[^A-Za-z0-9_-]", "-", f"trio-bridge-{mapping.stream}-{mapping.measurement}")
    if len(uid) <= _UID_CHARS:
        return uid
    # What is cut off must not make two channels one.
    return f"{uid[: _UID_CHARS - 9]}-{zlib.crc32(f'{mapping.stream}/{mapping.measurement}'.encode()):08x}"


def placed(rows: list[list[Json]], *, height: int = 8) -> list[Json]:
    """Panels with their places: those of a row share its width (24 units)."""
    return [
        {
            **panel,
            "gridPos": {"x": 24 // len(row) * column, "y": line * height, "w": 24 // len(row), "h": height},
        }
        for line, row in enumerate(rows)
        for column, panel in enumerate(row)
    ]


def _give_units(panel: Json, mapping: Mapping) -> None:
    """The unit of each field that has one; of all of them where a series route has but one field."""
    config = panel["fieldConfig"]
    numbers = [(field.name, unit) for field in drawable(mapping) if (unit := unit_of(field.name)) is not None]
    if mapping.series is not None and len(mapping.fields) == 1:
        if numbers:
            config["defaults"]["unit"] = numbers[0][1]
        return
    for name, unit in numbers:
        matcher = {"id": "byName", "options": name}
        if mapping.series is not None:
            matcher = {"id": "byRegexp", "options": f"/^{re.escape(name)}(_|$)/"}
        config["overrides"].append({"matcher": matcher, "properties": [{"id": "unit", "value": unit}]})


async def push_dashboard(api: Api, model: Json) -> tuple[str, bool]:
    """Saves `model`, over an older one of its uid.

    Returns:
        Its path, and whether Grafana has the data source of its SQL panel.

    Raises:
        CredentialsRefused: they may not save dashboards.
        SinkError: Grafana cannot be reached or refuses.
    """
    body = {"dashboard": model, "overwrite": True, "message": "trio-bridge dashboard --push"}
    saved = await api.ask("POST", "/api/dashboards/db", body)
    source = await api.find(f"/api/datasources/uid/{SOURCE_UID}")
    return str(saved["url"]), source is not None
