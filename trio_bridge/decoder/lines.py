r"""The words of line protocol: names, texts and tag values, written so that Grafana's push handler parses them.

The grammar is that of Telegraf's influx parser (``plugins/parsers/influx/machine.go.rl``), which Grafana Live uses,
narrowed to what was seen to arrive unchanged. What a place cannot carry is replaced here, never escaped in hope:

    measurement      [A-Za-z0-9_=./-]+       anything else makes a channel that nobody can subscribe to
    field, tag name  no control character, no backslash (replaced by _); comma, space and = are escaped
    text             " and \ are escaped; a lone CR and a form feed become U+FFFD; all else stays, also line feeds
    tag value        comma, space and = are escaped; control characters, and a backslash where the parser would take
                     it for an escape (before comma, space, =, " or at the end), become U+FFFD

Pure functions; nothing here knows columns or JSON.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

from trio_bridge.errors import PayloadError

# A message stays below 64 KiB, because Grafana cuts the browsers that lag by 1 MiB of (three times larger) JSON; a
# line leaves 4 KiB of it to the keyframe's flag field.
MAX_LINE_BYTES = 60 * 1024

# Grafana: the string NaN is a null that keeps its column, but in number columns only.
NULL_NUMBER = '"NaN"'
NULL_TEXT = '""'

REPLACEMENT = "\ufffd"

_NOT_IN_MEASUREMENT = re.compile(r"[^A-Za-z0-9_=./-]")
_NOT_IN_NAME = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_NOT_IN_TEXT = re.compile(r"\r(?!\n)|[\f\ud800-\udfff]")
_NOT_IN_TAG = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff]|(?<!\\)\\++(?=[,= "]|\Z)')
_ESCAPED_IN_NAME = re.compile(r"[,= ]")

# The keyframe's flag is a field named _0 to _9.
_FLAG_NAME = re.compile(r"_[0-9]\Z")
# Columns that Grafana adds to every frame.
_GRAFANAS_NAMES = frozenset({"time", "labels"})


def measurement_name(name: str) -> str:
    """`name` with every character that a Live channel cannot have replaced by ``_``."""
    return _NOT_IN_MEASUREMENT.sub("_", name)


def is_measurement(name: str) -> bool:
    """Whether a browser can subscribe to a measurement of this name."""
    return name != "" and measurement_name(name) == name


def field_names(columns: Iterable[str]) -> tuple[str, ...]:
    """The names under which `columns` appear in Grafana, in the same order, all different.

    A column keeps its name where it can. Control characters and backslashes become ``_``; ``time`` and ``labels``
    (Grafana's own columns) and ``_0`` to ``_9`` (the keyframe's flags) get a ``_`` behind; of two columns that would be
    called the same, the one that had to be changed gets ``_2``, ``_3`` and so on.
    """
    columns = tuple(columns)
    # Unchanged names are given away first, so that a nasty neighbour never renames a good column.
    names = {column: column for column in columns if _clean_name(column) == column}
    for column in columns:
        if column not in names:
            names[column] = free_name(column, set(names.values()))
    return tuple(names[column] for column in columns)


def free_name(wanted: str, taken: Container[str]) -> str:
    """The name for a field that is to be called `wanted`, by the rules of `field_names`; none of `taken`."""
    name = unique = _clean_name(wanted)
    number = 2
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique


def _clean_name(column: str) -> str:
    name = _NOT_IN_NAME.sub("_", column) or "_"
    return f"{name}_" if name in _GRAFANAS_NAMES or _FLAG_NAME.match(name) else name


def escaped_name(name: str) -> str:
    """`name` (of `field_names`) as it stands in a line."""
    return _ESCAPED_IN_NAME.sub(r"\\\g<0>", name)


def line_template(measurement: str, names: Iterable[str], *, tags: int = 0) -> str:
    """A line with one ``%s`` for each tag (which brings its own comma and name), each field of `names` and the time."""
    fields = ",".join(escaped_name(name).replace("%", "%%") + "=%s" for name in names)
    return f"{measurement}{'%s' * tags} {fields} %s"


def cleaned_text(text: str) -> str:
    """`text` with what no string in a line may carry replaced by U+FFFD; the same object if there was none."""
    return _NOT_IN_TEXT.sub(REPLACEMENT, text)


def quoted_text(text: str) -> str:
    """`text` (of `cleaned_text`) as a field's value; a text that is just ``NaN`` gets a space behind.

    Grafana takes the string ``NaN`` for a null number, and as a column's first value it turns the column into numbers.
    """
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if text != "NaN" else '"NaN "'


def cleaned_tag(value: str) -> str:
    """`value` with what no tag may carry replaced by U+FFFD; an equal text if there was none."""
    return _NOT_IN_TAG.sub(REPLACEMENT, value)


def escaped_tag(value: str) -> str:
    """`value` (of `cleaned_tag`, not empty) as it stands in a line."""
    return _ESCAPED_IN_NAME.sub(r"\\\g<0>", value)


def encoded_line(line: str, most: int = MAX_LINE_BYTES) -> bytes:
    """`line` in UTF-8.

    Raises:
        PayloadError: ``too_large``, above `most` bytes.
    """
    encoded = line.encode()
    if len(encoded) > most:
        raise PayloadError("too_large", f"the line would be larger than {most} bytes")
    return encoded
