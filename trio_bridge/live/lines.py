r"""Turns the bytes of one message into points, exactly as strictly as the parser inside Grafana.

The grammar is version 1 of InfluxData's line protocol (Go package ``github.com/influxdata/line-protocol``, a state
machine over bytes) as Grafana's Live push handlers use it. One bad line makes the whole message bad. What the machine
accepts beyond the specification is accepted here as well: a vertical tab or a form feed as a separator, a single CR at
the very end, line feeds inside strings. One accident is not imitated: after a lone backslash at the end of a message,
where a measurement should stand, the machine copies whatever point it read last; here that is a bad line.

The text is decoded as UTF-8 with ``surrogateescape``: every rule concerns ASCII characters only, so a byte that is not
UTF-8 passes through names and strings as one lone surrogate, and what it becomes is decided where frames are encoded.

Never imports the bridge's encoder: this module is one side of a comparison.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

_INT64 = range(-(2**63), 2**63)
_UINT64_END = 2**64


class BadLine(ValueError):
    """The message holds a line that Grafana's parser refuses; none of its lines count."""


class Unsigned(int):
    """An integer written with the suffix ``u``: it parses, but Grafana shows it as null in a number column."""


Value = float | int | Unsigned | bool | str


class Point(NamedTuple):
    """One line.

    Attributes:
        measurement: the name, unescaped.
        tags: unescaped; a key that comes twice has its last value.
        fields: unescaped, in the order of first appearance; a key that comes twice has its last value.
        time_ns: ns since 1970; the receiver's clock if the line has none.
    """

    measurement: str
    tags: dict[str, str]
    fields: dict[str, Value]
    time_ns: int


_BLANK = r"[\t\v\f ]"
# An escape in a name or in a field key takes two characters, whatever the second is. In a tag a backslash may also
# stand before another backslash without consuming it, so a run of backslashes escapes what follows the run.
_PLAIN = r"[^\t\n\v\f\r ,=\\]"
_KEY = rf"(?:{_PLAIN}|\\[^\t\n\v\f\r])++"
_TAG_PART = rf"(?:{_PLAIN}|\\++[^\t\n\v\f\r\\])++"
_NAME_PART = r"[^\t\n\v\f\r ,\\]|\\[^\t\n\v\f\r]"

# Between lines: blanks, empty lines, comments; a comment or a CR may be cut off by the end of the message.
_BETWEEN_LINES = re.compile(rf"(?:{_BLANK}|\r?\n|#[^\n]*+(?:\n|\Z)|\r\Z)*+")
_MEASUREMENT = re.compile(rf"(?!#)(?:{_NAME_PART})++")
_TAG = re.compile(rf",({_TAG_PART})=({_TAG_PART})")
_BLANKS = re.compile(rf"{_BLANK}++")
_FIELD = re.compile(
    rf"({_KEY})=(?:"
    r'"((?:[^\f\r\\"]++|\\[\\"]|\r\n)*+)"'
    r"|(-?(?:0|[1-9][0-9]*+))i"
    r"|(0|[1-9][0-9]*+)u"
    r"|(-?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?)"
    r"|(true|TRUE|True|T|t)"
    r"|(?:false|FALSE|False|F|f))"
)
_END = re.compile(rf"(?:{_BLANK}++(-?[0-9]{{1,19}}))?{_BLANK}*+\r?(?:\n|\Z)")

_ESCAPED_IN_MEASUREMENT = re.compile(r"\\([, ])")
_ESCAPED_IN_KEY = re.compile(r"\\([,\"= ])")
_ESCAPED_IN_STRING = re.compile(r"\\([\\\"])")


def parse(message: bytes, now_ns: Callable[[], int]) -> list[Point]:
    """The points of `message`, in its order.

    Args:
        message: any bytes.
        now_ns: the receiver's clock, ns since 1970, asked once for each line without a time.

    Raises:
        BadLine: one line or more would be refused by Grafana.
    """
    text = message.decode("utf-8", "surrogateescape")
    end = len(text)
    points: list[Point] = []
    between_lines = _BETWEEN_LINES.match
    position = 0
    while True:
        blank = between_lines(text, position)
        # The pattern may match nothing, so it always matches.
        assert blank is not None
        position = blank.end()
        if position == end:
            return points
        point, position = _line(text, position, now_ns)
        points.append(point)


def _line(text: str, position: int, now_ns: Callable[[], int]) -> tuple[Point, int]:
    """The line that starts at `position`, and where the next one starts."""
    head = _MEASUREMENT.match(text, position)
    if head is None:
        raise BadLine(f"no measurement at character {position}")
    measurement = head[0]
    if "\\" in measurement:
        measurement = _ESCAPED_IN_MEASUREMENT.sub(r"\1", measurement)
    position = head.end()

    tags: dict[str, str] = {}
    while text.startswith(",", position):
        tag = _TAG.match(text, position)
        if tag is None:
            raise BadLine(f"no tag at character {position}")
        tags[_unescaped(tag[1])] = _unescaped(tag[2])
        position = tag.end()

    blanks = _BLANKS.match(text, position)
    if blanks is None:
        raise BadLine(f"no field set at character {position}")
    position = blanks.end()

    fields: dict[str, Value] = {}
    while True:
        field = _FIELD.match(text, position)
        if field is None:
            raise BadLine(f"no field at character {position}")
        fields[_unescaped(field[1])] = _value(field)
        position = field.end()
        if not text.startswith(",", position):
            break
        position += 1

    tail = _END.match(text, position)
    if tail is None:
        raise BadLine(f"neither a time nor the end of the line at character {position}")
    digits = tail[1]
    time_ns = now_ns() if digits is None else int(digits)
    if time_ns not in _INT64:
        raise BadLine(f"the time {digits} is outside int64")
    return Point(measurement, tags, fields, time_ns), tail.end()


def _unescaped(key: str) -> str:
    """A tag key, tag value or field key; an escaped quote counts only beside another character that needs escaping."""
    if "\\" in key and ("," in key or " " in key or "=" in key):
        return _ESCAPED_IN_KEY.sub(r"\1", key)
    return key


def _value(field: re.Match[str]) -> Value:
    """The value of a matched field; the number of the group that took part in the match tells its type."""
    kind = field.lastindex
    if kind == 5:
        number = float(field[5])
        if number - number != 0.0:
            raise BadLine(f"{field[5]} is beyond float64")
        return number
    if kind == 2:
        text = field[2]
        return _ESCAPED_IN_STRING.sub(r"\1", text) if "\\" in text else text
    if kind == 3:
        integer = int(field[3])
        if integer not in _INT64:
            raise BadLine(f"{field[3]}i is outside int64")
        return integer
    if kind == 4:
        unsigned = Unsigned(field[4])
        if unsigned >= _UINT64_END:
            raise BadLine(f"{field[4]}u is outside uint64")
        return unsigned
    return kind == 6
