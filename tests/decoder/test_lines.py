"""Names, texts and tags as words of a line, checked against what a real Grafana made of the same words."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.decoder.lines import (
    MAX_LINE_BYTES,
    cleaned_tag,
    cleaned_text,
    encoded_line,
    escaped_name,
    escaped_tag,
    field_names,
    free_name,
    is_measurement,
    line_template,
    measurement_name,
    quoted_text,
)
from trio_bridge.errors import PayloadError
from trio_bridge.live.lines import parse

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "push_vectors.json").read_text())
TIME = "1700000000000000000"


def accepted(prefix: str):
    """The messages of that family that Grafana took, with the one field that it made of each."""
    for vector in VECTORS:
        if vector["name"].startswith(prefix) and vector["accepted"] and vector["format"] == "labels_column":
            frame = vector["frames"][0]
            yield vector["message"], frame["schema"]["fields"], frame["values"]


def test_texts_are_written_as_grafana_reads_them() -> None:
    """Every string that a real Grafana published is written by us exactly as it was sent to that Grafana."""
    checked = 0
    for message, _, values in accepted("string_"):
        text = values[2][0]
        if text is not None:
            assert f"m v={quoted_text(cleaned_text(text))} {TIME}" == message
            checked += 1
    assert checked > 20


def test_field_names_are_written_as_grafana_reads_them() -> None:
    """Every field name without a backslash that a real Grafana published is escaped by us as it was sent to it."""
    checked = 0
    for message, fields, _ in accepted("field_key_"):
        name = fields[2]["name"]
        if "\\" not in name and len(fields) == 3 and message.endswith(f"=1 {TIME}"):
            assert f"m {escaped_name(name)}=1 {TIME}" == message
            checked += 1
    assert checked > 8


def test_tags_are_written_as_grafana_reads_them() -> None:
    """Every tag value that a real Grafana published, and that we leave as it is, is escaped as it was sent."""
    checked = 0
    for message, _, values in accepted("tag_"):
        label = re.fullmatch(r"t=(.*)", values[0][0], re.DOTALL)
        if label and message.startswith("m,t=") and cleaned_tag(label[1]) == label[1]:
            assert f"m,t={escaped_tag(label[1])} v=1 {TIME}" == message
            checked += 1
    assert checked > 8


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("a\rb", "a\ufffdb"),
        ("a\r", "a\ufffd"),
        ("\r\r\n", "\ufffd\r\n"),
        ("a\fb", "a\ufffdb"),
        ("\ud800", "\ufffd"),
        ("a\r\nb\tc\x00\x0b\x1b\x7f\u2028", "a\r\nb\tc\x00\x0b\x1b\x7f\u2028"),
    ],
)
def test_only_what_grafana_refuses_in_a_text_is_replaced(text: str, sent: str) -> None:
    """A lone CR, a form feed and a surrogate become U+FFFD; every other character stays."""
    assert cleaned_text(text) == sent


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("a\tb\nc\rd\x0be\ff\x00g", "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf\ufffdg"),
        ("a\\", "a\ufffd"),
        ("a\\\\", "a\ufffd"),
        ("\\", "\ufffd"),
        ("a\\,b", "a\ufffd\\,b"),
        ("a\\ b", "a\ufffd\\ b"),
        ("a\\=b", "a\ufffd\\=b"),
        ('a\\"b,', 'a\ufffd"b\\,'),
        ("C:\\temp\\new", "C:\\temp\\new"),
        ("a\\\\b", "a\\\\b"),
    ],
)
def test_a_tag_keeps_only_harmless_backslashes(value: str, sent: str) -> None:
    """Control characters, and backslashes that the parser would take for an escape, become U+FFFD."""
    assert escaped_tag(cleaned_tag(value)) == sent


def test_a_long_run_of_backslashes_costs_no_more_than_its_length() -> None:
    """Cleaning a tag is linear: a megabyte of backslashes that escape nothing is left alone at once."""
    value = "\\" * 1_000_000 + "x"
    assert cleaned_tag(value) == value


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["value", "Wert °C", 'a,b=c "d"', "größe", "%"], ["value", "Wert °C", 'a,b=c "d"', "größe", "%"]),
        (["a\\b", "tail\\", "a\tb", "a\nb", "\x7f"], ["a_b", "tail_", "a_b_2", "a_b_3", "_"]),
        (["time", "labels", "Time"], ["time_", "labels_", "Time"]),
        (["_0", "_9", "_10", "_a"], ["_0_", "_9_", "_10", "_a"]),
        (["time", "time_"], ["time__2", "time_"]),
        (["a\\", "a\n", "a_", "a__2"], ["a__3", "a__4", "a_", "a__2"]),
        ([""], ["_"]),
    ],
)
def test_field_names_stay_where_they_can_and_are_unique(columns: list[str], names: list[str]) -> None:
    """A good column name is kept, a bad one is changed by rule, and never at the cost of a good one."""
    assert list(field_names(columns)) == names


@pytest.mark.fault(88)
@given(st.lists(st.text(max_size=6), unique=True, min_size=1, max_size=8))
def test_any_columns_get_names_that_parse_to_themselves(columns: list[str]) -> None:
    """Whatever the columns are called, their names are different, stable, and parse to themselves."""
    names = field_names(columns)
    assert names == field_names(columns)
    assert len(set(names)) == len(columns)
    assert not {"time", "labels"} & set(names)
    assert not any(re.fullmatch(r"_[0-9]", name) for name in names)
    line = "m " + ",".join(f"{escaped_name(name)}=1" for name in names) + " 5"
    (point,) = parse(line.encode(), lambda: 0)
    assert tuple(point.fields) == names


@given(st.lists(st.text(max_size=3) | st.sampled_from(["a", "a\n", "a\\", "_0", "time"]), max_size=12))
def test_names_given_one_by_one_never_meet(wanted: list[str]) -> None:
    """A name that is given later avoids those that are taken, by the rules of `field_names`, and else is as wanted."""
    taken: list[str] = []
    for name in wanted:
        free = free_name(name, taken)
        assert free not in taken
        assert free == field_names([free])[0]
        assert free == field_names([name])[0] or field_names([name])[0] in taken
        taken.append(free)


def test_a_template_has_a_place_for_each_word() -> None:
    """Tags bring their own names; a per cent sign in a field's name is no place."""
    assert line_template("m", ["50%", "a b"], tags=2) % (",t=x", "", 1, '"y"', 5) == 'm,t=x 50%=1,a\\ b="y" 5'


@given(st.text(min_size=1))
def test_any_text_and_tag_parse_to_themselves(text: str) -> None:
    """What cleaning leaves of a text or tag value comes out of the parser unchanged, in one point."""
    kept, tag = cleaned_text(text), cleaned_tag(text)
    line = f"m,t={escaped_tag(tag)} v={quoted_text(kept)} 5"
    (point,) = parse(encoded_line(line), lambda: 0)
    assert point.fields == {"v": "NaN " if kept == "NaN" else kept}
    assert point.tags == {"t": tag}


@pytest.mark.fault(79, 89)
def test_a_measurement_is_what_a_browser_can_subscribe_to() -> None:
    """Foreign characters become ``_``; nothing and anything with a foreign character is no measurement."""
    assert measurement_name("Zähler #1 (neu)") == "Z_hler__1__neu_"
    assert is_measurement("a-b_c=d.e/F9")
    assert not is_measurement("")
    assert not is_measurement("#x")
    assert not is_measurement("a b")
    assert not is_measurement("a\n")


def test_the_longest_line_is_a_boundary() -> None:
    """A line of exactly the limit passes, one byte more is refused; bytes count, not characters."""
    assert len(encoded_line("x" * MAX_LINE_BYTES)) == MAX_LINE_BYTES
    with pytest.raises(PayloadError) as refusal:
        encoded_line("ä" * (MAX_LINE_BYTES // 2) + "x")
    assert refusal.value.reason == "too_large"
    with pytest.raises(PayloadError, match="larger than 2 bytes"):
        encoded_line("xyz", 2)
