r"""Bytes of a message → lines, by the grammar of line protocol v1 as the manual of InfluxData tells it.

Written for the simulation alone, from the grammar, so that encoder and reader cannot agree on a mistake. Stricter than
Grafana where the bridge promises more: a line without a time, invalid UTF-8, two measurements in one message are taken
for unparsable too. What is read stays remembered by its bytes, because keyframes repeat the same lines over and over.
"""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from tests.simulation.live.records import Row

_NAME = r"(?:[^\t\n\v\f\r ,=\\]|\\[^\t\n\v\f\r])+"
_MEASUREMENT = r"(?!\#)(?:[^\t\n\v\f\r ,\\]|\\[^\t\n\v\f\r])+"
_STRING = r'"(?:[^"\\\f\r]|\\["\\]|\r\n)*"'
_INTEGER = r"-?(?:0|[1-9][0-9]*)i"
_NUMBER = r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_TRUE = r"(?:true|TRUE|True|T|t)"
_FALSE = r"(?:false|FALSE|False|F|f)"
_VALUE = rf"(?:{_STRING}|{_INTEGER}|{_NUMBER}|{_TRUE}|{_FALSE})"

_LINE: Final = re.compile(
    rf"({_MEASUREMENT})((?:,{_NAME}={_NAME})*) ({_NAME}={_VALUE}(?:,{_NAME}={_VALUE})*) (-?[0-9]{{1,19}})(?:\n|\Z)"
)
_FIELD: Final = re.compile(rf"({_NAME})=({_VALUE})(?:,|\Z)")
_FLAG: Final = re.compile(r"_[0-9]")
_ESCAPED_IN_NAME: Final = re.compile(r"\\([,= ])")
_ESCAPED_IN_STRING: Final = re.compile(r'\\(["\\])')
_INT64: Final = range(-(2**63), 2**63)
_MOST_REMEMBERED: Final = 20_000


class Unparsable(ValueError):
    """A line is none: Grafana drops its whole message and says nothing."""


class Line(NamedTuple):
    """One line.

    Attributes:
        measurement: the name.
        row: what it says, without the flag.
        flag: name of its flag field; "": it has none.
        columns: name and type of each field but the flag, by name.
    """

    measurement: str
    row: Row
    flag: str
    columns: tuple[tuple[str, str], ...]


class Reader:
    """Reads the messages of one Grafana.

    Args:
        key: name of the field whose value is a row's key; of a series route also ``key_<series>``.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._known: dict[bytes, Line] = {}
        # Equal columns are one object, so that a message of a thousand lines is compared by identity.
        self._columns: dict[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]] = {}

    def read(self, message: bytes) -> list[Line]:
        """Its lines, at least one.

        Raises:
            Unparsable: see there.
        """
        pieces = message.split(b"\n")
        try:
            lines = [self._known.get(piece) or self._learn(piece) for piece in pieces]
        except Unparsable:
            if len(pieces) == 1:
                raise
            # A text may hold a line feed: then the pieces are no lines, and the message is read from left to right.
            lines = self._read_on(_decoded(message))
        if len({line.measurement for line in lines}) > 1:
            raise Unparsable("more than one measurement")
        return lines

    def _learn(self, piece: bytes) -> Line:
        text = _decoded(piece)
        match = _LINE.fullmatch(text)
        if match is None:
            raise Unparsable(text[:200])
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        line = self._known[piece] = self._line(match)
        return line

    def _read_on(self, text: str) -> list[Line]:
        lines: list[Line] = []
        position = 0
        while position < len(text):
            match = _LINE.match(text, position)
            if match is None:
                raise Unparsable(text[position : position + 200])
            lines.append(self._line(match))
            position = match.end()
        if not lines:
            raise Unparsable("no line")
        return lines

    def _line(self, match: re.Match[str]) -> Line:
        values: dict[str, str] = {}
        position = match.start(3)
        while position < match.end(3):
            field = _FIELD.match(match.string, position, match.end(3))
            # The line's pattern is made of the field's.
            assert field is not None
            # Of two equal names the last counts.
            name, written = field.groups()
            values[_ESCAPED_IN_NAME.sub(r"\1", name) if "\\" in name else name] = written
            position = field.end()
        time_ns = int(match[4])
        if time_ns not in _INT64:
            raise Unparsable(f"time {time_ns}")
        key = flag = ""
        fields: list[tuple[str, float | str]] = []
        columns: list[tuple[str, str]] = []
        for name, written in sorted(values.items()):
            kind, value = _value(written)
            if value == "" and _FLAG.fullmatch(name):
                flag = name
                continue
            columns.append((name, kind))
            if value is None or value == "":
                continue
            if name == self._key or name.startswith(f"{self._key}_"):
                key = str(int(value)) if isinstance(value, float) else value
            else:
                fields.append((name, value))
        shape = tuple(columns)
        return Line(match[1], Row(key, time_ns, tuple(fields)), flag, self._columns.setdefault(shape, shape))


def _decoded(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError as error:
        raise Unparsable(str(error)) from None


def _value(written: str) -> tuple[str, float | str | None]:
    """Type of the column that a value makes, and the value; None: null."""
    if written == '"NaN"':
        return "number", None
    if written[0] == '"':
        text = written[1:-1]
        return "text", _ESCAPED_IN_STRING.sub(r"\1", text) if "\\" in text else text
    if written[0] in "tTfF":
        return "boolean", float(written[0] in "tT")
    if written[-1] == "i":
        if int(written[:-1]) not in _INT64:
            raise Unparsable(written)
        return "number", float(int(written[:-1]))
    number = float(written)
    if not math.isfinite(number):
        raise Unparsable(written)
    return "number", number
