"""The past of a route's table, for a panel beside the live one: mapping and table → a panel that asks Postgres in SQL.

A live panel knows the last rows; everything older is in the table. The query takes the mean over what one pixel shows
(a boolean's largest value), so that an hour and a year cost the browser the same; the server reads the rows of the
dashboard's time range. Fields are named as in the live panel, and so are the series of a route with one field.

Pure. Grafana replaces its macros up to the next parenthesis, whatever is quoted: so names of columns stand outside of
them, and the macros only see the names ``row_at`` and ``metric``.
"""

from __future__ import annotations

from typing import Any, Final

from trio_bridge.config.names import TableName
from trio_bridge.decoder.mapping import Field, Mapping

Json = dict[str, Any]

SOURCE_TYPE: Final = "grafana-postgresql-datasource"
SOURCE_UID: Final = "trio-bridge-postgres"
"""Fixed, so that a dashboard finds its data source in every Grafana."""

SOURCE: Final[Json] = {"type": SOURCE_TYPE, "uid": SOURCE_UID}

_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def drawable(mapping: Mapping) -> list[Field]:
    """The fields that are curves: numbers and booleans."""
    return [field for field in mapping.fields if field.kind in {"number", "boolean"}]


def history_panel(title: str, mapping: Mapping, table: TableName) -> Json:
    """A panel with the rows of `table` in the dashboard's time range.

    Args:
        title: of the panel.
        mapping: of a table route that has a field to draw.
        table: where its rows are.
    """
    sparse = mapping.series is not None or bool(mapping.tags)
    target = {
        "refId": "A",
        "datasource": SOURCE,
        "format": "time_series",
        "rawQuery": True,
        "editorMode": "code",
        "rawSql": history_sql(mapping, table),
    }
    custom = {"drawStyle": "line", "lineInterpolation": "linear", "showPoints": "never", "spanNulls": sparse}
    return {
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "targets": [target],
        "fieldConfig": {"defaults": {"custom": custom}, "overrides": []},
        "options": {
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "multi", "sort": "none"},
        },
    }


def history_sql(mapping: Mapping, table: TableName) -> str:
    """The panel's query; with Grafana's macros in it."""
    time, bounds = _time(mapping)
    fields = drawable(mapping)
    labels = [(tag.column, _quoted(tag.name)) for tag in mapping.tags]
    if mapping.series is not None:
        labels.append((mapping.series.column, "metric"))
    columns = [
        f"{time} AS row_at",
        *(f"{_quoted(column)}::text AS {name}" for column, name in labels),
        *(f"{_value(field)} AS {_quoted(field.name)}" for field in fields),
    ]
    means = [
        "$__timeGroupAlias(row_at,'$__interval')",
        *(name for _, name in labels),
        *(f"{_mean(field)} AS {_quoted(field.name)}" for field in fields),
    ]
    groups = ", ".join(str(number + 1) for number in range(len(labels) + 1))
    return (
        f"SELECT {', '.join(means)}\n"
        f"FROM (\n  SELECT {', '.join(columns)}\n"
        f"  FROM {_quoted(table.schema)}.{_quoted(table.name)}\n"
        f"  WHERE {bounds}\n) AS shown\n"
        f"GROUP BY {groups} ORDER BY 1"
    )


def _time(mapping: Mapping) -> tuple[str, str]:
    """A row's time, and the condition that it is in the dashboard's range: one that an index can answer."""
    column = _quoted(mapping.time)
    if mapping.time_kind != "number":
        return column, f"{column} BETWEEN $__timeFrom() AND $__timeTo()"
    per_second = _PER_SECOND[mapping.time_unit]
    if per_second == 1:
        return f"to_timestamp({column})", f"{column} BETWEEN $__unixEpochFrom() AND $__unixEpochTo()"
    scale = f"{per_second}::bigint"
    bounds = f"{column} BETWEEN $__unixEpochFrom() * {scale} AND $__unixEpochTo() * {scale}"
    return f"to_timestamp({column} / {per_second}.0)", bounds


def _value(field: Field) -> str:
    return _quoted(field.column) + ("::int" if field.kind == "boolean" else "")


def _mean(field: Field) -> str:
    return f"{'max' if field.kind == 'boolean' else 'avg'}({_quoted(field.name)})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
