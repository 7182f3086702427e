"""Turns the points of one message into data frames, as Grafana's converter does.

Two formats (Grafana: pkg/services/live/telemetry/telegraf): ``labels_column`` makes one frame of many rows per
measurement, ``wide`` one frame of one row per measurement and distinct time. All numbers become float64; all columns
but the labels and the time are nullable. A frame knows its JSON; nothing here is sent or kept.

Two oddities are kept on purpose. A string that is exactly ``NaN`` is a null of a number column, so as a column's first
value it makes the column a number column. Names of columns and of the frame go into the JSON byte by byte, so a name
that is not UTF-8 makes JSON that no browser can decode, while values get U+FFFD.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from trio_bridge.live.lines import Point, Unsigned, Value

Cell = float | bool | str | None

_NOT_UTF8 = re.compile("[\udc80-\udcff]")
# Go's %v writes a float with an exponent from 1e6 on and below 1e-4, with the shortest digits in either form.
_GO_TEXT_EXPONENT_FROM = 1e6
_GO_TEXT_EXPONENT_BELOW = 1e-4
_GO_JSON_EXPONENT_FROM = 1e21
_EXACT_BELOW = 2.0**53


class UnknownFormat(ValueError):
    """The name of a frame format that Grafana does not have."""


class Kind(NamedTuple):
    """The type of a column, in the words of Grafana's JSON."""

    type: str
    frame: str
    nullable: bool = True


LABELS = Kind("string", "string", nullable=False)
TIME = Kind("time", "time.Time", nullable=False)
NUMBER = Kind("number", "float64")
BOOLEAN = Kind("boolean", "bool")
STRING = Kind("string", "string")


class Column(NamedTuple):
    """One column's part of the schema; `labels` is None where the format has none."""

    name: str
    kind: Kind
    labels: Mapping[str, str] | None = None


class Frame(NamedTuple):
    """A data frame: as many lists of cells as columns; times in ms since 1970."""

    name: str
    columns: tuple[Column, ...]
    values: list[list[Any]]

    def same_schema(self, other: Frame) -> bool:
        """True if a subscriber that knows the schema of `other` can read this frame's data alone."""
        return self.name == other.name and self.columns == other.columns

    def to_json(self, *, schema: bool = True) -> bytes:
        """The frame as Grafana publishes it, with its schema or without; not UTF-8 if a name is not."""
        values = [[_shown(cell) for cell in cells] for cells in self.values]
        data = f'"data":{_NOT_UTF8.sub("�", _json({"values": values}))}'
        text = f'{{"schema":{_json(self.schema())},{data}}}' if schema else f"{{{data}}}"
        return text.encode("utf-8", "surrogateescape")

    def schema(self) -> dict[str, Any]:
        """The schema as JSON types."""
        return {"name": self.name, "fields": [_field(column) for column in self.columns]}


def _shown(cell: Any) -> Any:
    """A whole number below 1e21 is written with its shortest digits and zeros instead of an exponent, as Go does."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _GO_JSON_EXPONENT_FROM and cell:
        return int(cell) if abs(cell) < _EXACT_BELOW else int(Decimal(repr(cell)))
    return cell


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _field(column: Column) -> dict[str, Any]:
    info: dict[str, Any] = {"frame": column.kind.frame}
    if column.kind.nullable:
        info["nullable"] = True
    field: dict[str, Any] = {"name": column.name, "type": column.kind.type, "typeInfo": info}
    if column.labels is not None:
        field["labels"] = dict(column.labels)
    return field


def convert(points: Iterable[Point], frame_format: str) -> list[Frame]:
    """The frames of a message, in the order of first appearance.

    Raises:
        UnknownFormat: `frame_format` is neither ``labels_column`` nor ``wide``.
    """
    if frame_format == "labels_column":
        return _labels_column(points)
    if frame_format == "wide":
        return _wide(points)
    raise UnknownFormat(frame_format)


class _Table:
    """The rows of one measurement under way to one frame."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.times: list[int] = []
        self.columns: dict[str, tuple[Kind, list[Cell]]] = {}

    def add(self, point: Point) -> None:
        row = len(self.times)
        tags = point.tags
        self.labels.append(", ".join(f"{key}={tags[key]}" for key in _sorted(tags)) if tags else "")
        self.times.append(_milliseconds(point.time_ns))
        fields = point.fields
        columns = self.columns
        if not fields.keys() <= columns.keys():
            for key in _sorted(fields.keys() - columns.keys()):
                columns[key] = (_typed(fields[key])[0], [])
        for key, value in fields.items():
            kind, cells = columns[key]
            if len(cells) < row:
                cells.extend([None] * (row - len(cells)))
            cells.append(_cell(kind, value))

    def frame(self, name: str) -> Frame:
        rows = len(self.times)
        values: list[list[Any]] = [self.labels, self.times]
        for _, cells in self.columns.values():
            cells.extend([None] * (rows - len(cells)))
            values.append(cells)
        columns = (Column("labels", LABELS), Column("time", TIME))
        return Frame(
            name, columns + tuple(Column(key, kind) for key, (kind, _) in self.columns.items()), values
        )


def _labels_column(points: Iterable[Point]) -> list[Frame]:
    tables: dict[str, _Table] = {}
    for point in points:
        table = tables.get(point.measurement)
        if table is None:
            table = tables[point.measurement] = _Table()
        table.add(point)
    return [table.frame(name) for name, table in tables.items()]


def _wide(points: Iterable[Point]) -> list[Frame]:
    rows: dict[tuple[str, int], tuple[list[Column], list[list[Any]]]] = {}
    for point in points:
        row = rows.get((point.measurement, point.time_ns))
        if row is None:
            row = rows[point.measurement, point.time_ns] = (
                [Column("time", TIME)],
                [[_milliseconds(point.time_ns)]],
            )
        columns, values = row
        for key in _sorted(point.fields):
            kind, cell = _typed(point.fields[key])
            columns.append(Column(key, kind, point.tags))
            values.append([cell])
    return [Frame(name, tuple(columns), values) for (name, _), (columns, values) in rows.items()]


def _sorted(keys: Iterable[str]) -> list[str]:
    """Sorted as Go sorts strings: by their bytes."""
    return sorted(keys, key=lambda key: key.encode("utf-8", "surrogateescape"))


def _milliseconds(time_ns: int) -> int:
    """Whole milliseconds, cut towards 1970."""
    return time_ns // 1_000_000 if time_ns >= 0 else -(-time_ns // 1_000_000)


def _typed(value: Value) -> tuple[Kind, Cell]:
    """The kind of column that `value` asks for, and its cell there."""
    if isinstance(value, float):
        return NUMBER, value
    if isinstance(value, str):
        return (NUMBER, None) if value == "NaN" else (STRING, value)
    if isinstance(value, bool):
        return BOOLEAN, value
    return NUMBER, None if isinstance(value, Unsigned) else float(value)


def _cell(kind: Kind, value: Value) -> Cell:
    """`value` in a column of `kind`: null if it is of another type, except that a text column takes it as text."""
    own, cell = _typed(value)
    if own is kind:
        return cell
    if kind is STRING and value != "NaN":
        return _go_text(value)
    return None


def _go_text(value: Value) -> str:
    """Go's ``fmt.Sprintf("%v", value)``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, float):
        return str(value)
    if value == 0 or _GO_TEXT_EXPONENT_BELOW <= abs(value) < _GO_TEXT_EXPONENT_FROM:
        return repr(value).removesuffix(".0")
    mantissa, exponent = f"{Decimal(repr(value)).normalize():e}".split("e")
    return f"{mantissa}e{exponent[0]}{exponent[1:]:0>2}"
