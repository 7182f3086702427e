r"""Panels of a Grafana dashboard that show a Live stream as it is meant to be seen: names → the JSON of a panel.

A live panel has traps that its editor does not tell of. Without ``queryType`` it shows Grafana's random walk, a
plausible curve that has nothing to do with the data. ``maxDataPoints`` is the length of the browser's buffer: shorter
than a route's window it cuts the history. The bridge's keyframes carry a dummy field ``_0`` … ``_9``, a column to a
table. In a series route a row has one series' field only, so lines must be drawn over the nulls between, and
the last value of a field is the last one that is not null. Every panel made here knows that.

Pure: nothing is sent and nobody is asked. Where a panel stands (``gridPos``) and its id are the dashboard's business;
its time range must end in ``now`` and be as long as the window.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from trio_bridge.decoder.mapping import Kind, Mapping

Json = dict[str, Any]

DATASOURCE: Final[Json] = {"type": "datasource", "uid": "grafana"}
"""Grafana's built-in data source, the only one that subscribes to Live channels."""

BUFFER_ROWS: Final = 5_000
"""A panel's buffer where the route has no window. Guess: some minutes of a busy table, drawn without effort."""

TIME_FIELD: Final = "time"
"""What Grafana calls a row's time, whatever its column is called."""

FLAG_PATTERN: Final = r"^_\d$"
"""The names of the fields by which a keyframe differs from the one before."""

_LAST: Final[Json] = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}


def live_target(stream: str, measurement: str, fields: Sequence[str] = ()) -> Json:
    """The query of a panel that shows a Live channel.

    Args:
        stream: the route's stream id.
        measurement: the route's measurement.
        fields: the fields to show; none: every field that comes, also one that comes later.
    """
    target: Json = {
        "refId": "A",
        "datasource": DATASOURCE,
        "queryType": "measurements",
        "channel": f"stream/{stream}/{measurement}",
    }
    if fields:
        target["filter"] = {"fields": [TIME_FIELD, *fields]}
    return target


def time_series(
    title: str, target: Json, *, history_rows: int, sparse: bool = False, stepped: bool = False
) -> Json:
    """Lines over time, one per field.

    Args:
        title: of the panel.
        target: see `live_target`.
        history_rows: of the route.
        sparse: a row has one series' fields only: lines connect over the others' rows.
        stepped: a value holds until the next one, as that of a switch does.
    """
    custom = {
        "drawStyle": "line",
        "lineInterpolation": "stepAfter" if stepped else "linear",
        "showPoints": "never",
        "spanNulls": sparse,
    }
    options = {
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    return _panel("timeseries", title, target, history_rows, options, custom=custom)


def stat(title: str, target: Json, *, history_rows: int) -> Json:
    """The last value of each field, as a figure over its curve; see `time_series` for the arguments."""
    return _panel("stat", title, target, history_rows, {**_LAST, "graphMode": "area", "colorMode": "value"})


def gauge(
    title: str, target: Json, *, history_rows: int, least: float | None = None, most: float | None = None
) -> Json:
    """The last value of each field on a scale.

    Args:
        title: of the panel.
        target: see `live_target`.
        history_rows: of the route.
        least: the scale's lower end; None: the least value in the window.
        most: its upper end.
    """
    panel = _panel("gauge", title, target, history_rows, {**_LAST, "showThresholdMarkers": True})
    bounds = {"min": least, "max": most}
    panel["fieldConfig"]["defaults"].update(
        {name: bound for name, bound in bounds.items() if bound is not None}
    )
    return panel


def table(title: str, target: Json, *, history_rows: int) -> Json:
    """The rows, latest first; see `time_series` for the arguments."""
    options = {"showHeader": True, "sortBy": [{"displayName": TIME_FIELD, "desc": True}]}
    return _panel("table", title, target, history_rows, options)


def panels_for(mapping: Mapping, *, history_rows: int, series: bool = False) -> list[Json]:
    """The panels that suit a route: curves and last values of numbers, steps of booleans, a table of texts.

    Args:
        mapping: what the route's rows become.
        history_rows: of the route.
        series: the route has one field per series: their names come with the rows, so each panel shows all of them,
            and the kinds of the mapping's fields only say which panels there are.
    """

    def of_kind(*kinds: Kind) -> list[str]:
        return [field.name for field in mapping.fields if field.kind in kinds]

    def target(fields: Iterable[str]) -> Json:
        return live_target(mapping.stream, mapping.measurement, () if series else tuple(fields))

    numbers, booleans, texts = of_kind("number"), of_kind("boolean"), of_kind("text", "json")
    name = mapping.measurement
    panels = []
    if numbers:
        panels.append(time_series(name, target(numbers), history_rows=history_rows, sparse=series))
        panels.append(stat(f"{name}: last values", target(numbers), history_rows=history_rows))
    # A series route's fields share one panel, and steps would be wrong for its numbers.
    if booleans and not (series and numbers):
        states = f"{name}: states" if numbers else name
        panels.append(
            time_series(states, target(booleans), history_rows=history_rows, sparse=series, stepped=True)
        )
    if texts:
        every = [field.name for field in mapping.fields]
        panels.append(table(f"{name}: rows", target(every), history_rows=history_rows))
    return panels


def _panel(
    kind: str, title: str, target: Json, history_rows: int, options: Json, *, custom: Json | None = None
) -> Json:
    panel: Json = {
        "type": kind,
        "title": title,
        "datasource": DATASOURCE,
        "targets": [target],
        "maxDataPoints": history_rows or BUFFER_ROWS,
        "fieldConfig": {"defaults": {"custom": custom} if custom else {}, "overrides": []},
        "options": options,
    }
    # A filter names what is shown; without one the flag has to be taken out by its name.
    if "filter" not in target:
        panel["transformations"] = [
            {"id": "filterFieldsByName", "options": {"exclude": {"pattern": FLAG_PATTERN}}}
        ]
    return panel
