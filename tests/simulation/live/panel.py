"""What a live panel shows: the browser's buffer of one channel.

The page's rule (Grafana: StreamingDataFrame, seen on 9.4 and run from `@grafana/data` 13): a message whose schema,
names and types in order, differs from the one before replaces the buffer; any other is appended; the oldest fall out.
"""

from __future__ import annotations

from tests.simulation.live.lines import Line
from tests.simulation.live.records import Row

Schema = tuple[tuple[str, str], ...]


def schema_of(lines: list[Line]) -> Schema:
    """The fields of the frame that Grafana makes of a message: those of its first line, then others as they appear."""
    first = lines[0]
    schema = sorted([*first.columns, (first.flag, "text")]) if first.flag else list(first.columns)
    seen = {id(first.columns)}
    for line in lines:
        if id(line.columns) not in seen:
            seen.add(id(line.columns))
            known = {name for name, _ in schema}
            schema += [column for column in line.columns if column[0] not in known]
    return tuple(schema)


class Panel:
    """One viewer.

    Args:
        most: rows that the buffer holds (``maxDataPoints``).

    Attributes:
        replaced: how often the buffer was emptied, the first message included.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: list[Row] = []
        self._schema: Schema | None = None
        self.replaced = 0

    def take(self, schema: Schema, rows: tuple[Row, ...]) -> None:
        """One publication."""
        if schema != self._schema:
            self._schema = schema
            self._rows = []
            self.replaced += 1
        self._rows += rows
        if len(self._rows) > 2 * self._most:
            self._rows = self.shown

    @property
    def shown(self) -> list[Row]:
        """The rows on the screen, by time."""
        return sorted(self._rows, key=lambda row: (row.time_ns, row.key))[-self._most :]
