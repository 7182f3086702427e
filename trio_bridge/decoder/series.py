r"""A column whose values name series → one measurement in which every series has fields of its own.

    {"sensor": "a", "value": 1.5}                    m a=1.5 1700…
    {"sensor": "a", "value": 1.5, "level": "x"}      m value_a=1.5,level_a="x" 1700…

A series is known from its first row that becomes a line, and keeps its field names from then on, so the same rows in
the same order give the same names. Those that come when there is no room for more are refused; those that are known
go on. There is room for as many as the route allows, while the names of all fit into one message with any line.

Grafana takes the columns of a message from its first line, so `Series.defaults` goes into that: every field known so
far, in its null form. Pure; lives as long as its encoder.
"""

from __future__ import annotations

from collections import ChainMap

from trio_bridge.decoder import lines
from trio_bridge.decoder.mapping import Mapping
from trio_bridge.errors import PayloadError

MAX_DEFAULTS_BYTES = 24 * 1024
"""Most bytes of `Series.defaults`: 500 series of two fields with names of 16 characters. Guess."""

MAX_LINE_BYTES = lines.MAX_LINE_BYTES - MAX_DEFAULTS_BYTES
"""Most bytes of a line, so that it and the defaults are together no longer than any other line."""


class Series:
    """The series of one route.

    Attributes:
        templates: of each known series by its text: a line with one ``%s`` for each field and the time.
    """

    def __init__(self, mapping: Mapping, most: int) -> None:
        self.templates: dict[str, str] = {}
        self._mapping = mapping
        self._most = most
        # By its name, each field in its null form.
        self._nulls: dict[str, bytes] = {}
        self._size = 0
        self._defaults = b""

    @property
    def defaults(self) -> bytes:
        """``a="NaN",b="NaN",``: each field of each known series, sorted by name; empty while there are none."""
        if len(self._defaults) < self._size:
            self._defaults = b"".join(null for _, null in sorted(self._nulls.items()))
        return self._defaults

    def line(self, series: str, words: tuple[str | int, ...]) -> bytes:
        """The line of a row of `series` with `words` for its fields and its time; the series is known from then on.

        Raises:
            PayloadError: ``too_many_series`` or ``too_large``.
        """
        if (template := self.templates.get(series)) is not None:
            return lines.encoded_line(template % words, MAX_LINE_BYTES)
        if len(self.templates) >= self._most:
            raise PayloadError("too_many_series", f"there are {self._most} series already")
        nulls = self._new_nulls(series)
        size = self._size + sum(map(len, nulls.values()))
        if size > MAX_DEFAULTS_BYTES:
            raise PayloadError(
                "too_many_series", f"names of series would take over {MAX_DEFAULTS_BYTES} bytes"
            )
        template = lines.line_template(self._mapping.measurement, nulls)
        # A row that is refused makes no series known.
        line = lines.encoded_line(template % words, MAX_LINE_BYTES)
        self.templates[series] = template
        self._nulls |= nulls
        self._size = size
        return line

    def _new_nulls(self, series: str) -> dict[str, bytes]:
        """By their names, the fields of a new series in their null form, in the order of the line."""
        fields = self._mapping.fields
        nulls: dict[str, bytes] = {}
        taken = ChainMap(nulls, self._nulls)
        for field in fields:
            name = lines.free_name(series if len(fields) == 1 else f"{field.name}_{series}", taken)
            null = lines.NULL_NUMBER if field.kind in {"number", "boolean"} else lines.NULL_TEXT
            nulls[name] = f"{lines.escaped_name(name)}={null},".encode()
        return nulls
