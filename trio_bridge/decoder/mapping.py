"""Route settings and the shape of a table → what each of its rows becomes in a line: measurement, time, fields, tags.

Pure and done once at the start of a route. Everything the operator may have got wrong about columns, names and types
is found here and said in one `ConfigError` sentence that names what is missing, what comes near to it, and what there
is. After that the schema of the measurement is fixed: same fields, same order, same types, for as long as the route
runs, because a Grafana panel loses its history or freezes when they change.

Numbers are smallint, integer, bigint, real, double precision and numeric (Grafana makes every number a float64);
booleans are sent as the numbers 1 and 0; everything else is text, also money, whose format depends on the locale.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from trio_bridge.config.settings import RouteSettings
from trio_bridge.decoder.lines import field_names, is_measurement, measurement_name
from trio_bridge.errors import ConfigError

Kind = Literal["number", "boolean", "text", "json"]
TimeKind = Literal["timestamptz", "timestamp", "date", "number", "any"]
TimeUnit = Literal["s", "ms", "us", "ns"]

# Grafana: a channel's id is refused to subscribers when it is longer.
MAX_CHANNEL_BYTES = 160

_NUMBER_TYPES = ("int2", "int4", "int8", "float4", "float8", "numeric")
_TIME_KINDS: dict[str, TimeKind] = {
    "timestamptz": "timestamptz",
    "timestamp": "timestamp",
    "date": "date",
    **dict.fromkeys(_NUMBER_TYPES, "number"),
}
_STREAM = re.compile(r"[A-Za-z0-9_-]+")
# The position's column says nothing to a viewer.
_BOOKKEEPING = "txid"


@dataclass(frozen=True, slots=True)
class Column:
    """A column and its base type, as ``pg_type.typname`` spells it; an array's begins with ``_``."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table as the catalogue describes it: plain name without schema, its columns, the names of its key's."""

    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """One column (or JSON key) → one field.

    Attributes:
        column: its name in the row.
        name: its name in Grafana.
        kind: ``number`` and ``boolean`` become float64; ``json`` is text whose source is any JSON value.
    """

    column: str
    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Tag:
    """One column (or JSON key) → one label."""

    column: str
    name: str


@dataclass(frozen=True, slots=True)
class SeriesColumn:
    """The column (or JSON key) whose values name the series.

    Attributes:
        column: its name in the row.
        kind: ``text``: a JSON string or null; any other: any JSON value.
        most: how many series there may be.
    """

    column: str
    kind: Kind
    most: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """What a row becomes.

    Attributes:
        stream: Grafana's stream id.
        measurement: together with `stream` names the Live channel.
        time: column (or JSON key) with the row's time.
        time_kind: ``any``: whatever the payload brings, a text or a number.
        time_unit: what a time that is a number counts since 1970.
        fields: in the order of the line; never empty.
        tags: in the order of the line.
        from_payload: rows are notifications, whose sender may leave fields out: one without any is rejected.
        series: by which each value gets fields of its own; then there are no tags.
    """

    stream: str
    measurement: str
    time: str
    time_kind: TimeKind
    time_unit: TimeUnit
    fields: tuple[Field, ...]
    tags: tuple[Tag, ...]
    from_payload: bool
    series: SeriesColumn | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What must be read of a row, besides its key."""
        series = () if self.series is None else (self.series.column,)
        return (self.time, *(f.column for f in self.fields), *(t.column for t in self.tags), *series)


def map_table(route: RouteSettings, shape: TableShape) -> Mapping:
    """What the rows of `shape` become under `route`.

    Raises:
        ConfigError: the route names a column that does not exist or cannot serve, or a name that Grafana cannot use.
    """
    where = f'route "{route.name}"'
    if route.text_fields:
        raise ConfigError(
            f"{where}: text_fields is for channel routes; a table's columns have their types already"
        )
    types = {column.name: column.type for column in shape.columns}

    def known(name: str, use: str) -> str:
        if name not in types:
            raise ConfigError(f"{where}: {_no_such_column(name, use, shape)}")
        return name

    time_type = types[known(route.time, "time")]
    if time_type not in _TIME_KINDS:
        raise ConfigError(
            f'{where}: column "{route.time}" of table {shape.table} is {time_type} and cannot be the time; '
            f"time must name a column of type {', '.join(_TIME_KINDS)}"
        )
    for tag in route.tags:
        known(tag, "tags")
    for name in route.fields or ():
        known(name, "fields")
    if route.series is not None:
        known(route.series, "series")
    hidden = {*shape.key, *route.tags, route.time, route.series, _BOOKKEEPING}
    columns = (
        route.fields if route.fields is not None else tuple(name for name in types if name not in hidden)
    )
    if not columns:
        raise ConfigError(
            f"{where}: table {shape.table} has no column left to send beside its key, time, txid, series and "
            f"tags; name some in fields. {_columns_of(shape)}"
        )
    return _mapping(
        route,
        default_measurement=shape.table,
        time_kind=_TIME_KINDS[time_type],
        fields=[(name, _kind(types[name])) for name in columns],
        series_kind=_kind(types[route.series]) if route.series is not None else "text",
        from_payload=False,
    )


def map_channel(route: RouteSettings) -> Mapping:
    """What the payloads of a channel route become; without `fields` they are expected to carry ``value``.

    Raises:
        ConfigError: names clash, or Grafana cannot use one.
    """
    names = route.fields if route.fields is not None else ("value",)
    if not names:
        raise ConfigError(f'route "{route.name}": fields is empty; name at least one key of the payload')
    for name in route.text_fields:
        if name not in names:
            raise ConfigError(
                f'route "{route.name}": "{name}" in text_fields is not among the fields{_near(name, names)}; '
                f"the fields are: {', '.join(names)}"
            )
    return _mapping(
        route,
        default_measurement=route.channel or route.name,
        time_kind="any",
        fields=[(name, "text" if name in route.text_fields else "number") for name in names],
        series_kind="json",
        from_payload=True,
    )


def _mapping(
    route: RouteSettings,
    *,
    default_measurement: str,
    time_kind: TimeKind,
    fields: Sequence[tuple[str, Kind]],
    series_kind: Kind,
    from_payload: bool,
) -> Mapping:
    columns = [column for column, _ in fields]
    _check_clashes(route, columns)
    field_labels, tag_labels = field_names(columns), field_names(route.tags)
    return Mapping(
        stream=_checked_stream(route),
        measurement=_checked_measurement(route, default_measurement),
        time=route.time,
        time_kind=time_kind,
        time_unit=route.time_unit,
        fields=tuple(
            Field(column, name, kind) for (column, kind), name in zip(fields, field_labels, strict=True)
        ),
        tags=tuple(Tag(column, name) for column, name in zip(route.tags, tag_labels, strict=True)),
        from_payload=from_payload,
        series=None if route.series is None else SeriesColumn(route.series, series_kind, route.max_series),
    )


def _kind(type_name: str) -> Kind:
    if type_name in _NUMBER_TYPES:
        return "number"
    if type_name == "bool":
        return "boolean"
    return "json" if type_name in {"json", "jsonb"} or type_name.startswith("_") else "text"


def _check_clashes(route: RouteSettings, columns: Sequence[str]) -> None:
    uses = [
        ("time", route.time),
        *(("fields", name) for name in columns),
        *(("tags", name) for name in route.tags),
        *(("series", name) for name in (route.series,) if name is not None),
    ]
    seen: dict[str, str] = {}
    for use, name in uses:
        if name in seen:
            places = f"twice in {use}" if seen[name] == use else f"in {seen[name]} and in {use}"
            raise ConfigError(f'route "{route.name}": "{name}" stands {places}; it can have one place only')
        seen[name] = use


def _checked_stream(route: RouteSettings) -> str:
    if not _STREAM.fullmatch(route.stream):
        raise ConfigError(
            f'route "{route.name}": stream "{route.stream}" must consist of letters, digits, _ and -; '
            "Grafana takes data under any other name but lets nobody subscribe to it"
        )
    return route.stream


def _checked_measurement(route: RouteSettings, default: str) -> str:
    measurement = route.measurement if route.measurement is not None else measurement_name(default)
    if not is_measurement(measurement):
        raise ConfigError(
            f'route "{route.name}": measurement "{measurement}" must consist of letters, digits and _ = . / - '
            "and not be empty; Grafana takes data under any other name but lets nobody subscribe to it"
        )
    channel = f"stream/{route.stream}/{measurement}"
    if len(channel) > MAX_CHANNEL_BYTES:
        raise ConfigError(
            f'route "{route.name}": the Live channel "{channel}" has {len(channel)} bytes, '
            f"Grafana allows {MAX_CHANNEL_BYTES}; shorten stream or measurement"
        )
    return measurement


def _no_such_column(name: str, use: str, shape: TableShape) -> str:
    near = _near(name, [column.name for column in shape.columns])
    return f'table {shape.table} has no column "{name}" ({use}){near}. {_columns_of(shape)}'


def _columns_of(shape: TableShape) -> str:
    return "Its columns are: " + ", ".join(f"{column.name} ({column.type})" for column in shape.columns)


def _near(name: str, names: Sequence[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
