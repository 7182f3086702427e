"""The encoder's table rule by rule, and its promise for any row: one line or one rejection, and nobody else harmed."""

import json
import math
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_protocol_parser import parse_line

from trio_bridge.config.settings import RouteSettings
from trio_bridge.decoder.encoder import Encoder
from trio_bridge.decoder.lines import MAX_LINE_BYTES
from trio_bridge.decoder.mapping import Column, Mapping, TableShape, map_channel, map_table
from trio_bridge.live.lines import parse
from trio_bridge.records import Batch, Page

TIME = '"timestamp":"2026-11-24T10:33:03.123456+00:00"'
NS = 1_795_516_383_123_456_000
GOOD = f'{{"id":7,"txid":"9",{TIME},"v":1.5}}'.encode()
GOOD_LINE = f"m v=1.5 {NS}".encode()


def table(columns: dict[str, str], **settings) -> Mapping:
    shape = TableShape(
        "m",
        (
            Column("id", "int8"),
            Column("txid", "xid8"),
            Column("timestamp", settings.pop("time_type", "timestamptz")),
            *(Column(name, type_name) for name, type_name in columns.items()),
        ),
        ("id",),
    )
    return map_table(RouteSettings(name="r", table="m", **settings), shape)


def payload(**settings) -> Mapping:
    return map_channel(RouteSettings(name="r", channel="m", **settings))


def encode(mapping: Mapping, *rows: bytes | None) -> Batch:
    return Encoder(mapping).encode(Page(3, rows, [f"row {n}" for n in range(len(rows))], 12.5))


def encode_value(type_name: str, value: str) -> Batch:
    """The batch of one row whose only field `v`, of that type, is the JSON text `value`."""
    return encode(table({"v": type_name}), f'{{"id":7,{TIME},"v":{value}}}'.encode())


def check_word(batch: Batch, word: str, nulled: dict[str, int] | None = None) -> None:
    assert list(batch.lines) == [f"m v={word} {NS}".encode()]
    assert batch.rejections == []
    assert batch.nulled == (nulled or {})


def check_rejected(batch: Batch, reason: str, hidden: str = "secret") -> None:
    (rejection,) = batch.rejections
    assert (rejection.reason, rejection.key) == (reason, "row 0")
    assert hidden not in rejection.detail
    assert list(batch.lines) == []
    assert batch.nulled == {}


@pytest.mark.parametrize(
    ("type_name", "value", "word"),
    [
        ("int2", "-7", "-7"),
        ("int8", "9007199254740992", "9007199254740992"),
        ("float4", "0.1", "0.1"),
        ("float8", "20.123456789012344", "20.123456789012344"),
        ("float8", "1e+17", "1e+17"),
        ("float8", "-5e-324", "-5e-324"),
        ("numeric", "3.14159265358979323846", "3.141592653589793"),
        ("numeric", "5.00", "5.0"),
    ],
)
def test_rule_number(type_name: str, value: str, word: str) -> None:
    """A number is written as a float64, an integer by its digits, others as the shortest decimal."""
    check_word(encode_value(type_name, value), word)


@pytest.mark.fault(86)
def test_rule_rounded_integer() -> None:
    """An integer that float64 cannot hold is the nearest float64, and counted."""
    check_word(encode_value("int8", "9007199254740993"), "9007199254740992.0", {"rounded": 1})


@pytest.mark.fault(85)
@pytest.mark.parametrize("value", ["1e400", "-1e400", "1" * 401])
def test_rule_out_of_range(value: str) -> None:
    """A number beyond float64 is refused: Grafana would drop the whole message."""
    check_rejected(encode_value("numeric", value), "out_of_range")


def test_rule_boolean() -> None:
    """A boolean is a 1 or a 0, because a boolean column cannot be null in Grafana."""
    check_word(encode_value("bool", "true"), "1")
    check_word(encode_value("bool", "false"), "0")


@pytest.mark.parametrize("type_name", ["int4", "float8", "numeric", "bool"])
def test_rule_null_number(type_name: str) -> None:
    """A null number or boolean is the string NaN, which keeps the column."""
    check_word(encode_value(type_name, "null"), '"NaN"')


@pytest.mark.fault(85)
@pytest.mark.parametrize("type_name", ["float8", "numeric"])
def test_rule_nan(type_name: str) -> None:
    """NaN is shown as null, as Grafana shows nothing for either."""
    check_word(encode_value(type_name, '"NaN"'), '"NaN"')


@pytest.mark.fault(85)
@pytest.mark.parametrize("value", ['"Infinity"', '"-Infinity"'])
def test_rule_infinity(value: str) -> None:
    """Infinity has no place on a panel: null, and counted."""
    check_word(encode_value("float8", value), '"NaN"', {"infinity": 1})


@pytest.mark.parametrize(
    ("type_name", "value", "word"),
    [
        ("text", r'"a \"b\" \\ c"', r'"a \"b\" \\ c"'),
        ("text", r'"a\nm v=2 5\r\nb\t\u0000"', '"a\nm v=2 5\r\nb\t\x00"'),
        ("text", '"größe 😀 \u2028"', '"größe 😀 \u2028"'),
        ("text", '""', '""'),
        ("mood", '"happy"', '"happy"'),
        ("uuid", '"6c1e5e1a-0d5b-4b1c-8f57-3f7f9d0f4f11"', '"6c1e5e1a-0d5b-4b1c-8f57-3f7f9d0f4f11"'),
        ("interval", '"1 day 02:03:04.5"', '"1 day 02:03:04.5"'),
        ("money", '"$1,234.50"', '"$1,234.50"'),
    ],
)
def test_rule_text(type_name: str, value: str, word: str) -> None:
    """A text is quoted, with quotes and backslashes escaped; line feeds in it start no new line."""
    check_word(encode_value(type_name, value), word)


@pytest.mark.parametrize(
    ("type_name", "value", "word"),
    [
        ("jsonb", '{"a": [1, "x"]}', r'"{\"a\": [1, \"x\"]}"'),
        ("json", '"plain"', '"plain"'),
        ("json", "12.50", '"12.50"'),
        ("jsonb", "null", '""'),
        ("_float8", "[1.5,null]", '"[1.5,null]"'),
        ("point3d", '{"x":1}', r'"{\"x\":1}"'),
    ],
)
def test_rule_json(type_name: str, value: str, word: str) -> None:
    """What is no scalar is sent as its JSON text."""
    check_word(encode_value(type_name, value), word)


@pytest.mark.parametrize("type_name", ["text", "jsonb"])
def test_rule_null_text(type_name: str) -> None:
    """A null text is the empty text: the string NaN would make the column numbers."""
    check_word(encode_value(type_name, "null"), '""')


def test_rule_text_nan() -> None:
    """A text that is just NaN gets a space behind; another spelling stays."""
    check_word(encode_value("text", '"NaN"'), '"NaN "')
    check_word(encode_value("text", '"nan"'), '"nan"')
    check_word(encode_value("json", '"NaN"'), '"NaN "')


@pytest.mark.fault(87)
@pytest.mark.parametrize("value", [r'"a\rb"', r'"a\fb"'])
def test_rule_control_character(value: str) -> None:
    """A lone CR or a form feed would cost the whole message: replaced, and counted."""
    check_word(encode_value("text", value), '"a\ufffdb"', {"control_character": 1})


@pytest.mark.fault(87)
def test_rule_not_unicode() -> None:
    """Half of a surrogate pair or a byte that is not UTF-8 never reaches Grafana."""
    check_word(encode_value("text", r'"a\ud800b"'), '"a\ufffdb"', {"not_unicode": 1})
    batch = encode(table({"v": "text"}), f'{{{TIME},"v":"a'.encode() + b'\xffb"}')
    check_word(batch, '"a\ufffdb"', {"not_unicode": 1})


@pytest.mark.fault(84)
def test_rule_missing() -> None:
    """A column that the row does not have any more is null (a tag: left out), and counted."""
    row = f"{{{TIME}}}".encode()
    check_word(encode(table({"v": "float8"}), row), '"NaN"', {"missing": 1})
    check_word(encode(table({"v": "text"}), row), '""', {"missing": 1})
    tagged = table({"v": "float8", "place": "text"}, tags=("place",))
    check_word(encode(tagged, f'{{{TIME},"v":1.5}}'.encode()), "1.5", {"missing": 1})


@pytest.mark.fault(89)
@pytest.mark.parametrize("value", ['"north"', "null", '""'])
def test_rule_tag(value: str) -> None:
    """A tag that is null or empty is left out; the fields stay."""
    batch = encode(
        table({"v": "int4", "place": "text"}, tags=("place",)), f'{{{TIME},"v":1,"place":{value}}}'.encode()
    )
    tag = ",place=north" if value == '"north"' else ""
    assert list(batch.lines) == [f"m{tag} v=1 {NS}".encode()]
    assert batch.nulled == {}


def test_rule_tag_character() -> None:
    """A tag's comma, space and = are escaped; what no tag can carry is replaced, and counted."""
    mapping = table({"v": "int4", "my place": "text"}, tags=("my place",))
    batch = encode(mapping, f'{{{TIME},"v":1,"my place":"a, b=c\\n\\\\"}}'.encode())
    assert list(batch.lines) == [f"m,my\\ place=a\\,\\ b\\=c\ufffd\ufffd v=1 {NS}".encode()]
    assert batch.nulled == {"tag_character": 1}


def test_rule_tag_of_any_type() -> None:
    """A number or boolean as a tag is its JSON text."""
    batch = encode(
        table({"v": "int4", "n": "int4", "b": "bool"}, tags=("n", "b")),
        f'{{{TIME},"v":1,"n":5,"b":true}}'.encode(),
    )
    assert list(batch.lines) == [f"m,n=5,b=true v=1 {NS}".encode()]


@pytest.mark.fault(84, 92)
@pytest.mark.parametrize("value", ['"secret"', "[1]", '{"secret":1}'])
def test_rule_wrong_type(value: str) -> None:
    """A value that is no number in a number field is refused, without showing it."""
    check_rejected(encode_value("float8", value), "wrong_type")


@pytest.mark.parametrize("row", ['{"v":1}', '{"timestamp":null,"v":1}'])
def test_rule_time_missing(row: str) -> None:
    """A row without a time is refused: Grafana would make up its own."""
    check_rejected(encode(table({"v": "int4"}), row.encode()), "time_missing")


@pytest.mark.fault(90)
@pytest.mark.parametrize(
    ("time_type", "time", "reason"),
    [
        ("timestamptz", '"infinity"', "time_infinite"),
        ("timestamp", '"-infinity"', "time_infinite"),
        ("date", '"infinity"', "time_infinite"),
        ("numeric", '"Infinity"', "time_infinite"),
        ("timestamptz", '"2262-04-11T23:47:16.854776+00:00"', "time_out_of_range"),
        ("timestamptz", '"0044-03-15T00:00:00+00:00 BC"', "time_out_of_range"),
        ("timestamp", '"12345-01-01T00:00:00"', "time_out_of_range"),
        ("date", '"1600-01-01"', "time_out_of_range"),
        ("int8", "9223372037", "time_out_of_range"),
        ("float8", '"secret"', "time_invalid"),
        ("timestamptz", '"secret"', "time_invalid"),
    ],
)
def test_rules_of_time(time_type: str, time: str, reason: str) -> None:
    """A time that a line cannot carry is refused by its reason, whatever the column's type."""
    check_rejected(
        encode(table({"v": "int4"}, time_type=time_type), f'{{"timestamp":{time},"v":1}}'.encode()), reason
    )


@pytest.mark.fault(90)
@pytest.mark.parametrize(
    ("time_type", "time", "ns"),
    [
        ("timestamptz", '"2026-11-24T10:33:03.123456+00:00"', NS),
        ("timestamp", '"2026-11-24T10:33:03.123456"', NS),
        ("date", '"2026-11-24"', 1_795_478_400_000_000_000),
        ("int8", "1795516383", 1_795_516_383_000_000_000),
        ("float8", "1795516383.123456", NS),
        ("numeric", "1795516383.123456000", NS),
        ("timestamptz", '"1677-09-21T00:12:43.145225+00:00"', -9_223_372_036_854_775_000),
    ],
)
def test_every_time_type_is_exact(time_type: str, time: str, ns: int) -> None:
    """The time in the line is the row's, to the nanosecond."""
    batch = encode(table({"v": "int4"}, time_type=time_type), f'{{"timestamp":{time},"v":1}}'.encode())
    assert list(batch.lines) == [f"m v=1 {ns}".encode()]


@pytest.mark.fault(83)
@pytest.mark.parametrize(
    "row", [b"", b"{", b"secret", b"null", b"[1]", b'"x"', GOOD + b"x", b"\xff\xfe", b"\x00"]
)
def test_rule_not_json(row: bytes) -> None:
    """What is not the JSON text of one object is refused."""
    check_rejected(encode(table({"v": "float8"}), row), "not_json")


@pytest.mark.fault(83)
@pytest.mark.parametrize("nested", ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000])
def test_rule_too_deep(nested: str) -> None:
    """Nesting that no parser here follows is refused; it overflows nothing."""
    check_rejected(encode_value("json", nested), "too_deep")
    check_rejected(
        encode(table({"v": "int4"}), nested.encode()), "too_deep" if nested[0] == "{" else "not_json"
    )


@pytest.mark.fault(93)
def test_rule_too_large() -> None:
    """A row that was not fetched, and a line over the limit, are refused; a line of exactly the limit is sent."""
    check_rejected(encode(table({"v": "text"}), None), "too_large")
    room = MAX_LINE_BYTES - len(f'm v="" {NS}')
    check_word(encode_value("text", f'"{"x" * room}"'), f'"{"x" * room}"')
    check_rejected(encode_value("text", f'"{"x" * room}y"'), "too_large")
    check_rejected(encode_value("text", f'"\\f{"x" * room}y"'), "too_large")


@pytest.mark.fault(89)
@pytest.mark.parametrize(
    "row", [f"{{{TIME}}}", f'{{{TIME},"value":null}}', f'{{{TIME},"value":null,"s":null}}']
)
def test_rule_no_fields(row: str) -> None:
    """A notification that says nothing is refused."""
    check_rejected(encode(payload(fields=("value", "s"), text_fields=("s",)), row.encode()), "no_fields")


def test_a_table_row_of_nulls_is_sent() -> None:
    """A table's row counts even if all its fields are null."""
    batch = encode(table({"a": "int4", "b": "text"}), f'{{{TIME},"a":null,"b":null}}'.encode())
    assert list(batch.lines) == [f'm a="NaN",b="" {NS}'.encode()]


@pytest.mark.parametrize(
    ("time", "ns"),
    [
        ('"2026-11-24T10:33:03.123456+00:00"', NS),
        ('"2026-11-24T10:33:03.123456"', NS),
        ("1795516383.123456", NS),
        ("1795516383", 1_795_516_383_000_000_000),
    ],
)
def test_a_payload_brings_its_time_as_it_likes(time: str, ns: int) -> None:
    """A notification's time may be a text or a number, from one payload to the next."""
    batch = encode(payload(), f'{{"timestamp":{time},"value":1.5}}'.encode())
    assert list(batch.lines) == [f"m value=1.5 {ns}".encode()]


def test_a_payload_without_some_of_its_fields_keeps_the_schema() -> None:
    """A field that a notification leaves out is null in its line, a boolean is a number, the rest stays."""
    mapping = payload(fields=("a", "b", "s"), text_fields=("s",))
    batch = encode(mapping, f'{{{TIME},"b":true}}'.encode())
    assert list(batch.lines) == [f'm a="NaN",b=1,s="" {NS}'.encode()]


@pytest.mark.parametrize(
    "name",
    ["sp ace", "co,mma", "eq=ual", 'quo"te', "back\\slash", "größe", "tab\t", "end\\", "%s", "time", "_0"],
)
def test_rows_with_nasty_columns_arrive(name: str) -> None:
    """A column of any name is read by its name and arrives as one valid field."""
    mapping = table({name: "float8", "other": "int4"})
    row = json.dumps({"timestamp": "2026-11-24T10:33:03.123456+00:00", name: 2.5, "other": 1})
    batch = encode(mapping, row.encode())
    (point,) = parse(batch.lines[0], lambda: 0)
    assert point.fields == {mapping.fields[0].name: 2.5, "other": 1.0}
    assert point.time_ns == NS


def series_row(series: str, value: str = "1.5", time: str = TIME) -> bytes:
    """A row of the series column `s`, written as JSON."""
    return f'{{"id":7,"txid":"9",{time},"v":{value},"level":"x","s":{series}}}'.encode()


ONE_FIELD_EACH = table({"v": "float8", "s": "text"}, series="s")


def test_rule_series() -> None:
    """Each series has fields of its own; a line carries those of its series, the defaults all that are known."""
    batch = encode(
        table({"v": "float8", "s": "text", "level": "text"}, series="s"),
        series_row('"b"'),
        series_row('"a, 1"', "null"),
        series_row('"b"', "2"),
    )
    assert list(batch.lines) == [
        f'm v_b=1.5,level_b="x" {NS}'.encode(),
        f'm v_a\\,\\ 1="NaN",level_a\\,\\ 1="x" {NS}'.encode(),
        f'm v_b=2,level_b="x" {NS}'.encode(),
    ]
    assert batch.defaults == b'level_a\\,\\ 1="",level_b="",v_a\\,\\ 1="NaN",v_b="NaN",'
    assert (batch.rejections, batch.nulled) == ([], {})


def test_rule_series_of_one_field() -> None:
    """With a single field a series is called by its name alone."""
    batch = encode(ONE_FIELD_EACH, series_row('"b"'), series_row('"a"'))
    assert list(batch.lines) == [f"m b=1.5 {NS}".encode(), f"m a=1.5 {NS}".encode()]
    assert batch.defaults == b'a="NaN",b="NaN",'


@pytest.mark.parametrize(
    ("type_name", "value", "name"),
    [
        ("int4", "17", "17"),
        ("numeric", "1.50", "1.50"),
        ("bool", "true", "true"),
        ("uuid", '"6c1e5e1a"', "6c1e5e1a"),
        ("text", '"größe"', "größe"),
        ("text", '"NaN"', "NaN"),
        ("json", '"x"', "x"),
    ],
)
def test_rule_series_of_any_type(type_name: str, value: str, name: str) -> None:
    """A number or boolean names its series by its JSON text, a string by its characters, quickly and carefully."""
    encoder = Encoder(table({"v": "float8", "s": type_name}, series="s"))
    batch = encoder.encode(Page(1, [series_row(value)] * 2, ["1", "2"], 0.0))
    assert list(batch.lines) == [f"m {name}=1.5 {NS}".encode()] * 2
    assert encoder._quick(series_row(value)) == batch.lines[0]


@pytest.mark.parametrize("series_type", ["text", "int4", "json"])
@pytest.mark.parametrize(
    "row",
    [series_row("null"), series_row('""'), f'{{{TIME},"v":1}}'.encode()],
    ids=["null", "empty", "missing"],
)
def test_rule_series_missing(series_type: str, row: bytes) -> None:
    """A row that belongs to no series has no place in the measurement."""
    check_rejected(encode(table({"v": "float8", "s": series_type}, series="s"), row), "series_missing")


@pytest.mark.fault(80)
def test_rule_too_many_series() -> None:
    """First come keep their place: rows of further series are refused by key, those of known ones go on."""
    encoder = Encoder(table({"v": "float8", "s": "text"}, series="s", max_series=2))
    rows = [
        series_row('"b"'),
        series_row('"refused, so it takes no place"', '"no number"'),
        *(series_row(f'"{name}"') for name in ("a", "secret", "b", "other", "a")),
    ]
    batch = encoder.encode(Page(1, rows, [f"row {n}" for n in range(7)], 0.0))
    assert [line.split(b"=")[0] for line in batch.lines] == [b"m b", b"m a", b"m b", b"m a"]
    assert list(batch.keys) == ["row 0", "row 2", "row 4", "row 6"]
    assert [(rejection.reason, rejection.key) for rejection in batch.rejections] == [
        ("wrong_type", "row 1"),
        ("too_many_series", "row 3"),
        ("too_many_series", "row 5"),
    ]
    assert "secret" not in batch.rejections[1].detail
    assert batch.defaults == b'a="NaN",b="NaN",'


def test_defaults_change_only_with_a_new_series() -> None:
    """What a page taught the encoder is in that page's defaults and in those of all later ones."""
    encoder = Encoder(ONE_FIELD_EACH)
    pages = [['"b"'], ['"b"', "null"], ['"a"', '"b"'], [], ['"b"']]
    seen = [
        encoder.encode(Page(mark, [series_row(name) for name in names], names, 0.0)).defaults
        for mark, names in enumerate(pages)
    ]
    assert seen == [b'b="NaN",'] * 2 + [b'a="NaN",b="NaN",'] * 3


def test_a_payload_may_name_its_series() -> None:
    """A channel route has series too: by a text or a number, from one payload to the next."""
    batch = encode(
        payload(series="s"),
        *(f'{{{TIME},"value":1.5,"s":{name}}}'.encode() for name in ('"a"', "7", '"7"', '"a"')),
        f'{{{TIME},"value":null,"s":"a"}}'.encode(),
        f'{{{TIME},"value":1}}'.encode(),
    )
    assert [line.split(b"=")[0] for line in batch.lines] == [b"m a", b"m 7", b"m 7", b"m a"]
    assert [rejection.reason for rejection in batch.rejections] == ["no_fields", "series_missing"]


def test_bad_rows_leave_their_neighbours_alone() -> None:
    """Rejections and lines keep the page's order, its mark and its time; each rejection names its row."""
    rows = [GOOD, b"x", GOOD, None, b'{"timestamp":null}', GOOD]
    batch = encode(table({"v": "float8"}), *rows)
    assert list(batch.lines) == [GOOD_LINE] * 3
    assert [(rejection.reason, rejection.key) for rejection in batch.rejections] == [
        ("not_json", "row 1"),
        ("too_large", "row 3"),
        ("time_missing", "row 4"),
    ]
    assert (batch.mark, batch.pulled_at) == (3, 12.5)


def test_each_line_has_its_rows_key() -> None:
    """Keys go on aligned with the lines, without those of rejected rows; nothing else of a batch is about series."""
    rows = [GOOD, b"x", GOOD, None, GOOD]
    batch = encode(table({"v": "float8"}), *rows)
    assert list(batch.keys) == ["row 0", "row 2", "row 4"]
    assert list(encode(table({"v": "float8"}), GOOD, GOOD).keys) == ["row 0", "row 1"]
    assert batch.defaults == b""


@pytest.mark.fault(83)
def test_of_equal_keys_the_last_counts() -> None:
    """A payload that says a key twice is one row with the last value."""
    check_word(encode(table({"v": "int4"}), f'{{{TIME},"v":1,"v":2}}'.encode()), "2")


COLUMNS = {"n": "float8", "i": "int8", "b": "bool", "s": "text", "j": "jsonb", "a, b=c": "numeric"}
ROUTE = table(COLUMNS)

Row = dict[str, Any]
NUMBERS = st.none() | st.floats() | st.integers(-(2**53), 2**53)
TEXTS = (
    st.none() | st.text() | st.sampled_from(["NaN", "\r", "\f\n", "\\", '"', "m v=1 5\nm v=2 6", " ", ",=#"])
)
ROWS = st.fixed_dictionaries(
    {
        "n": NUMBERS,
        "i": st.none() | st.integers(-(2**53), 2**53),
        "b": st.none() | st.booleans(),
        "s": TEXTS,
        "j": st.recursive(
            TEXTS | NUMBERS.filter(lambda n: n is None or math.isfinite(n)), st.lists, max_leaves=4
        ),
        "a, b=c": NUMBERS,
    }
)


def row_to_json(row: Row) -> bytes:
    """As Postgres writes it: no bare NaN or Infinity, text not escaped to ASCII."""

    def spelled(value):
        if isinstance(value, float) and not math.isfinite(value):
            return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        return value

    plain = {name: spelled(value) for name, value in row.items()}
    return json.dumps({"timestamp": "2026-11-24T10:33:03.123456+00:00", **plain}, ensure_ascii=False).encode()


def expected_number(value: float | None) -> float | str:
    return "NaN" if value is None or not math.isfinite(value) else float(value)


def expected_text(value: object) -> str:
    """The table's rules for a text, said once more in other words."""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = (
        text.replace("\f", "\ufffd")
        .replace("\r\n", "\0crlf")
        .replace("\r", "\ufffd")
        .replace("\0crlf", "\r\n")
    )
    return "NaN " if text == "NaN" else text


def expected_fields(row: Row) -> dict[str, object]:
    return {
        "n": expected_number(row["n"]),
        "i": expected_number(row["i"]),
        "b": expected_number(row["b"]),
        "s": expected_text(row["s"]),
        "j": expected_text(row["j"]),
        "a, b=c": expected_number(row["a, b=c"]),
    }


def is_subnormal(value: object) -> bool:
    return isinstance(value, float) and 0 < abs(value) < sys.float_info.min


@pytest.mark.fault(77, 87, 88)
@given(st.lists(ROWS, max_size=5))
def test_n_rows_are_n_points_with_equal_values(rows: list[Row]) -> None:
    """A whole message of any rows parses to as many points, in order, with the values of the rows: no injected line."""
    batch = encode(ROUTE, *map(row_to_json, rows))
    assert batch.rejections == []
    points = parse(b"\n".join(batch.lines), lambda: 0)
    assert [(point.measurement, point.tags, point.time_ns) for point in points] == [("m", {}, NS)] * len(rows)
    assert [point.fields for point in points] == [expected_fields(row) for row in rows]
    # The second parser refuses NUL in a string and subnormal numbers, both of which Grafana was seen to take.
    for line, row in zip(batch.lines, rows, strict=True):
        if b"\0" not in line and not any(map(is_subnormal, row.values())):
            parsed = parse_line(line.decode())
            assert (parsed["measurement"], parsed["time"]) == ("m", NS)
            assert parsed["fields"] == expected_fields(row)


@pytest.mark.fault(92)
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_the_schema_is_the_same_for_any_mix_of_rows(rows: list[Row]) -> None:
    """Every line has every field, in one order; a number field is a number or NaN, a text field never NaN."""
    for line in encode(ROUTE, *map(row_to_json, rows)).lines:
        (point,) = parse(line, lambda: 0)
        assert list(point.fields) == list(COLUMNS)
        for name, value in point.fields.items():
            if name in {"s", "j"}:
                assert isinstance(value, str)
                assert value != "NaN"
            else:
                assert isinstance(value, float) or value == "NaN"


SERIES = (
    st.none()
    | st.integers()
    | st.booleans()
    | st.text(max_size=4)
    | st.sampled_from(
        ["a", "b", "a\n", "a\\", "a_", "a__2", "time", "_0", "_7", "a, b=c", "%s", '"', "NaN", "1", " ", "#"]
    )
)
SERIES_ROWS = st.tuples(ROWS, SERIES).map(lambda pair: {**pair[0], "series": pair[1]})
SERIES_ROUTES = [
    table({"n": "float8", "series": "jsonb"}, series="series", max_series=500),
    table({**COLUMNS, "series": "jsonb"}, series="series", max_series=500),
]


@given(st.lists(SERIES_ROWS, max_size=6), st.sampled_from(SERIES_ROUTES))
def test_n_rows_of_any_series_are_n_points_in_their_fields(rows: list[Row], mapping: Mapping) -> None:
    """Each row is one point with its values in its series' own fields, in any message after any defaults."""
    batch = encode(mapping, *map(row_to_json, rows))
    named = [row for row in rows if row["series"] not in (None, "")]
    assert [refused.reason for refused in batch.rejections] == ["series_missing"] * (len(rows) - len(named))
    assert [int(key.removeprefix("row ")) for key in batch.keys] == [
        number for number, row in enumerate(rows) if row["series"] not in (None, "")
    ]
    # As the sender writes it: what the first line repeats, it says last.
    message = [b"m " + batch.defaults + line.removeprefix(b"m ") for line in batch.lines[:1]]
    points = parse(b"\n".join([*message, *batch.lines[1:]]), lambda: 0)
    assert [(point.measurement, point.tags, point.time_ns) for point in points] == [("m", {}, NS)] * len(
        named
    )

    columns = [field.column for field in mapping.fields]
    names_of: dict[str, list[str]] = {}
    nulls: dict[str, str] = {}
    for line, row in zip(batch.lines, named, strict=True):
        (point,) = parse(line, lambda: 0)
        series = row["series"] if isinstance(row["series"], str) else json.dumps(row["series"])
        assert names_of.setdefault(series, list(point.fields)) == list(point.fields)
        if series.isalnum() and series not in {"time", "labels"}:
            plain = [f"{column}_{series}" for column in columns] if len(columns) > 1 else [series]
            assert list(point.fields) == plain
        expected = expected_fields(row)
        assert list(point.fields.values()) == [expected[column] for column in columns]
        nulls |= {
            name: "" if column in {"s", "j"} else "NaN"
            for name, column in zip(point.fields, columns, strict=True)
        }
        if b"\0" not in line and not any(map(is_subnormal, row.values())):
            assert parse_line(line.decode())["fields"] == point.fields
    everything = [name for names in names_of.values() for name in names]
    assert len(set(everything)) == len(everything)
    assert not any(re.fullmatch(r"time|labels|_[0-9]", name) for name in everything)
    if points:
        assert sorted(points[0].fields) == sorted(everything)
        (point,) = parse(b"m " + batch.defaults + b'_7="" 5', lambda: 0)
        assert list(point.fields.items()) == [*sorted(nulls.items()), ("_7", "")]
        assert parse_line((b"m " + batch.defaults + b'_7="" 5').decode())["fields"] == point.fields


JUNK = st.one_of(
    st.binary(max_size=40),
    st.text(alphabet='{}[]":,\\ud8\x00\r\n0123456789eE+-.NaInfityul', max_size=40).map(str.encode),
    st.builds(
        lambda time, value, junk: b'{"timestamp":' + time + b',"v":' + value + b',"t":' + junk + b"}",
        st.sampled_from(
            [b"0", b'"2026-11-24T10:33:03+00:00"', b'"infinity"', b"1e99999999999999999999", b"null"]
        )
        | st.binary(max_size=8),
        st.sampled_from([b"1", b"null", b'"NaN"', b"1e400", b"true", b'"\\ud800"']) | st.binary(max_size=8),
        st.sampled_from([b'"a\\\\"', b'"\xff,="', b'"\\udc00\\\\ "', b"[]", b"null", b'"\\n"'])
        | st.binary(max_size=8),
    ),
)
MAPPINGS = [
    table({"v": "float8"}),
    table({"v": "float8", "t": "text"}),
    table({"v": "text", "t": "text"}, tags=("t",)),
    table({"v": "bool", "t": "json"}, time_type="numeric"),
    table({"v": "numeric"}, time_type="date"),
    payload(fields=("v", "t"), text_fields=("t",)),
    table({"v": "float8", "t": "text"}, series="t"),
    table({"v": "bool", "t": "json"}, series="t", max_series=3),
    payload(fields=("v",), series="t"),
]


@pytest.mark.fault(77, 83, 84)
@given(st.lists(JUNK | st.none(), max_size=6), st.sampled_from(MAPPINGS))
def test_any_bytes_become_a_line_or_a_rejection(rows: list[bytes | None], mapping: Mapping) -> None:
    """Nothing raises; each row is counted once; what is sent parses to one point each; a good neighbour arrives."""
    good = json.dumps({"timestamp": "2026-11-24", "v": 1, "t": "x"}).encode()
    batch = encode(
        mapping, *rows, b'{"timestamp":1,"v":true,"t":"x"}' if mapping.time_kind == "number" else good
    )
    assert len(batch.lines) + len(batch.rejections) == len(rows) + 1
    assert all(rejection.key != f"row {len(rows)}" for rejection in batch.rejections)
    assert len(parse(b"\n".join(batch.lines), lambda: 0)) == len(batch.lines)
    for line in batch.lines:
        assert re.search(r" -?[0-9]{1,19}\Z", line.decode())


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("age_ns", [1, 0, -1])
def test_a_row_before_the_oldest_time_is_stale(careful: bool, age_ns: int) -> None:
    """The oldest time itself is still sent, by both ways; a stale row counts once and nothing of it is nulled."""
    mapping = table({"v": "float8", "w": "float8"})
    infinite = '"Infinity"' if careful else "2"
    row = f'{{"id":7,{TIME},"v":1.5,"w":{infinite}}}'.encode()
    batch = Encoder(mapping).encode(Page(3, [row], ["key"], 12.5), oldest_ns=NS + age_ns)
    if age_ns <= 0:
        assert len(batch.lines) == 1
        assert batch.nulled == ({"infinity": 1} if careful else {})
    else:
        assert batch.lines == []
        assert list(batch.keys) == []
        assert [(r.reason, r.key, r.detail) for r in batch.rejections] == [
            ("stale", "key", '"timestamp" is longer ago than max_age')
        ]
        assert batch.nulled == {}


def test_stale_rows_take_no_series() -> None:
    """A sensor that was last seen before the outage does not become a field of everyone's lines."""
    encoder = Encoder(table({"v": "float8", "s": "text"}, series="s", max_series=1))
    old = b'{"id":1,"timestamp":"2020-01-01T00:00:00+00:00","v":1,"s":"gone"}'
    new = f'{{"id":2,{TIME},"v":2,"s":"here"}}'.encode()
    batch = encoder.encode(Page(1, [old, new, old], ["1", "2", "3"], 0.0), oldest_ns=NS)
    assert [(r.reason, r.key) for r in batch.rejections] == [("stale", "1"), ("stale", "3")]
    assert list(batch.keys) == ["2"]
    assert b"gone" not in batch.defaults
