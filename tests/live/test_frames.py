"""From points to frames, where the vectors of test_vectors leave a rule open."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trio_bridge.live.frames import UnknownFormat, convert
from trio_bridge.live.lines import Value, parse


def frames(text: str, frame_format: str = "labels_column") -> list[dict[str, Any]]:
    made = convert(parse(text.encode(), lambda: 0), frame_format)
    return [json.loads(frame.to_json()) for frame in made]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.50", "1.5"),
        ("2i", "2"),
        ("3u", "3"),
        ("t", "true"),
        ("F", "false"),
        ("100000", "100000"),
        ("1000000", "1e+06"),
        ("1234567.5", "1.2345675e+06"),
        ("123456789012345678", "1.2345678901234568e+17"),
        ("1e21", "1e+21"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("-2.5e-7", "-2.5e-07"),
        ("5e-324", "5e-324"),
        ("-0", "-0"),
        ('"NaN"', None),
    ],
)
def test_a_text_column_takes_other_values_as_go_prints_them(value: str, text: str | None) -> None:
    """A number or boolean in a text column is shown as Go's %v; the text NaN stays a null."""
    [frame] = frames(f'm v="x" 1\nm v={value} 2')
    assert frame["data"]["values"][2] == ["x", text]


@pytest.mark.parametrize("first", ["1", "1i", "1u", '"NaN"', "t"])
@pytest.mark.parametrize(("later", "kind"), [("2", "number"), ("f", "boolean"), ('"x"', "string")])
def test_other_columns_turn_other_types_into_null(first: str, later: str, kind: str) -> None:
    """The first value decides a column's type; what comes later and is of another type is null."""
    [frame] = frames(f"m v={first} 1\nm v={later} 2")
    column = "boolean" if first == "t" else "number"
    expected: Value | None = {"2": 2.0, "f": False}.get(later) if column == kind else None
    assert frame["schema"]["fields"][2]["type"] == column
    assert frame["data"]["values"][2][1] == expected


def test_columns_are_sorted_by_bytes_and_late_ones_come_last() -> None:
    """The first line's fields come sorted as Go sorts, then those of each later line that are new."""
    [frame] = frames("m z=1,é=1,Z=1,a=1 1\nm z=2,c=2,b=2 2")
    assert [field["name"] for field in frame["schema"]["fields"]][2:] == ["Z", "a", "z", "é", "b", "c"]
    assert frame["data"]["values"][6:] == [[None, 2], [None, 2]]


@pytest.mark.parametrize(
    ("number", "text"),
    [("1", "1"), ("0.5", "0.5"), ("9007199254740993i", "9007199254740992"), ("123456789012345680000", None)],
)
def test_whole_numbers_are_written_without_exponent(number: str, text: str | None) -> None:
    """As in Grafana's JSON: digits and zeros up to 1e21."""
    [frame] = convert(parse(f"m v={number} 1".encode(), lambda: 0), "labels_column")
    assert f"[{text or number}]]".encode() in frame.to_json()


def test_wide_has_one_row_for_each_time() -> None:
    """Times that differ by one ns are different rows, and labels stand on the fields."""
    first, second = frames("m,t=a v=1 1\nm,t=b v=2 2\nm,t=b w=3 1", "wide")
    assert [field.get("labels") for field in first["schema"]["fields"]] == [None, {"t": "a"}, {"t": "b"}]
    assert (first["data"]["values"], second["data"]["values"]) == ([[0], [1], [3]], [[0], [2]])


def test_an_unknown_format_is_an_error() -> None:
    """There are two formats."""
    with pytest.raises(UnknownFormat):
        frames("m v=1 1", "prometheus")
