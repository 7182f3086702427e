"""The stand-in's line-protocol parser; what a real Grafana makes of single messages is in test_vectors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_bridge.live.lines import BadLine, Point, Unsigned, parse

NOW = 42


def points(message: bytes) -> list[Point]:
    return parse(message, lambda: NOW)


def is_bad(message: bytes) -> bool:
    try:
        points(message)
    except BadLine:
        return True
    return False


# What may stand in a name: anything but control white space; a backslash only where it cannot escape what follows.
_NAMES = st.text(st.characters(exclude_characters="\t\n\v\f\r\\", exclude_categories=["Cs"]), min_size=1)
# A carriage return only before a line feed, no form feed.
_STRINGS = st.text(st.characters(exclude_characters="\f\r", exclude_categories=["Cs"]))
_VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(lambda number: (repr(number), number)),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: (f"{number}i", number)),
    st.integers(0, 2**64 - 1).map(lambda number: (f"{number}u", Unsigned(number))),
    st.booleans().map(lambda flag: (str(flag), flag)),
    _STRINGS.map(lambda text: ('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"', text)),
)
_TIMES = st.integers(-(2**63), 2**63 - 1)


def escaped(name: str, special: str) -> str:
    return "".join("\\" + character if character in special else character for character in name)


@given(
    measurement=_NAMES.filter(lambda name: not name.startswith("#")),
    tags=st.dictionaries(_NAMES, _NAMES, max_size=3),
    fields=st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=4),
    time_ns=_TIMES,
)
def test_reads_back_what_was_written(
    measurement: str, tags: dict[str, str], fields: dict[str, tuple[str, Any]], time_ns: int
) -> None:
    """Whatever can be written by the rules is read as exactly that, with its types."""
    line = escaped(measurement, " ,")
    line += "".join(f",{escaped(key, ' ,=')}={escaped(value, ' ,=')}" for key, value in tags.items())
    line += " " + ",".join(f"{escaped(key, ' ,=')}={text}" for key, (text, _) in fields.items())
    [point] = points(f"{line} {time_ns}".encode())
    assert point == Point(measurement, tags, {key: value for key, (_, value) in fields.items()}, time_ns)
    assert [type(value) for value in point.fields.values()] == [type(value) for _, value in fields.values()]


_CHARACTERS = [bytes([code]) for code in b'm, =\t\v\f\r\n#\\"1-.eiut\xff']
_PIECES = [b"m v=1 5", b"m,t=a v=", b'"a"', b"true", b"\r\n", b"NaN", "é".encode()]
_FRAGMENTS = st.sampled_from([*_CHARACTERS, *_PIECES])


@given(st.lists(_FRAGMENTS, max_size=12).map(b"".join))
@example(b"m\\")
@example(b'm v="')
@example(b"m v=1 \r")
def test_any_bytes_are_points_or_a_bad_line(message: bytes) -> None:
    """No input makes the parser fail in any other way than by refusing the message."""
    is_bad(message)


@given(st.lists(_FRAGMENTS, max_size=8).map(b"".join), st.lists(_FRAGMENTS, max_size=8).map(b"".join))
def test_lines_do_not_depend_on_each_other(first: bytes, second: bytes) -> None:
    """Two good messages, one after the other on lines of their own, are the points of both."""
    if not is_bad(first) and not is_bad(second) and not first.endswith(b"\r"):
        assert points(first + b"\n" + second) == points(first) + points(second)


@pytest.mark.parametrize(
    "message",
    [b"m\vv=1 5", b"m\fv=1\f5\v", b"m v=1 5\r", b"\r\n m v=1 5\n\r", b"m v=1 5\n#", b"#m v=1\r\nm v=1 5"],
)
def test_what_the_machine_accepts_beyond_the_specification(message: bytes) -> None:
    """Odd separators, and a carriage return or a comment cut off by the end, are no error in Grafana."""
    assert points(message) == [Point("m", {}, {"v": 1.0}, 5)]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (rb"a\\\ b,t\\\,u=c\=\\d \\k=1 5", ("a\\\\ b", {"t\\\\,u": "c=\\\\d"}, ["\\\\k"])),
        (rb"m,t\"\ =a\" \"k=1 5", ("m", {'t" ': 'a\\"'}, ['\\"k'])),
        (rb"a\=b v=1 5", ("a\\=b", {}, ["v"])),
    ],
)
def test_escapes_as_the_machine_reads_them(line: bytes, names: tuple[str, dict[str, str], list[str]]) -> None:
    """Backslashes pair up in names and field keys, slide along in tags, and go only before what needs escaping."""
    [point] = points(line)
    assert (point.measurement, point.tags, list(point.fields)) == names


def test_a_line_without_time_gets_the_clock() -> None:
    """The receiver's clock is asked for each line without a time."""
    clock = iter([7, 8])
    assert [point.time_ns for point in parse(b"m v=1\nm v=2 \nm v=3 9", lambda: next(clock))] == [7, 8, 9]


def test_one_bad_line_makes_the_message_bad() -> None:
    """No point of a message survives one line that does not parse."""
    assert is_bad(b"m v=1 5\nm v=1e400 5\nm v=2 6")


def test_bytes_that_are_not_utf8_pass_through_one_by_one() -> None:
    """Names and strings keep every byte, so that nothing is decided here about what they become."""
    [point] = points(b'\xc3\x28 k\xff="\xed\xa0\x80" 5')
    assert point.measurement.encode("utf-8", "surrogateescape") == b"\xc3\x28"
    assert [len(value) for value in (*point.fields, *point.fields.values()) if isinstance(value, str)] == [
        2,
        3,
    ]
