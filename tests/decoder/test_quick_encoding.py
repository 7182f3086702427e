"""The quick way is only quicker: it writes what the careful way writes, or turns the row down."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decoder.test_encoder import COLUMNS, GOOD, ROWS, TIME, Row, payload, row_to_json, table
from trio_bridge.decoder.encoder import Encoder
from trio_bridge.decoder.quick_encoding import NOT_QUICK
from trio_bridge.errors import PayloadError

ALL_FIELDS = Encoder(table(COLUMNS))
ONE_FIELD = Encoder(table({"n": "float8"}))
TAGGED = Encoder(table(COLUMNS, tags=("s",)))
FROM_PAYLOAD = Encoder(payload(fields=("n", "s"), text_fields=("s",)))
SERIES = Encoder(table(COLUMNS, series="s", max_series=500))
SERIES_OF_NUMBERS = Encoder(table({"n": "float8", "i": "int8"}, series="i", max_series=500))
SERIES_FROM_PAYLOAD = Encoder(payload(fields=("n",), series="s", max_series=500))


@given(
    ROWS,
    st.sampled_from(
        [ALL_FIELDS, ONE_FIELD, TAGGED, FROM_PAYLOAD, SERIES, SERIES_OF_NUMBERS, SERIES_FROM_PAYLOAD]
    ),
)
def test_both_ways_write_the_same_line(row: Row, encoder: Encoder) -> None:
    """Whatever row the quick way takes, the careful way makes the same bytes of it and has nothing to count."""
    text = row_to_json(row)
    try:
        quick = encoder._quick(text)
    except NOT_QUICK:
        return
    nulled: Counter[str] = Counter()
    assert quick == encoder._encode_carefully(text, nulled)
    assert not nulled


@pytest.mark.parametrize(
    ("encoder", "row"),
    [
        (ONE_FIELD, {"n": 1.5}),
        (ONE_FIELD, {"n": None}),
        (ONE_FIELD, {"n": "NaN"}),
        (ALL_FIELDS, dict.fromkeys(COLUMNS)),
        (ALL_FIELDS, {"n": 1, "i": 2, "b": True, "s": 'x "y"', "j": {"a": [1]}, "a, b=c": -1e300}),
        (TAGGED, {"n": 1, "i": 2, "b": True, "s": "x y", "j": [], "a, b=c": 0}),
        (FROM_PAYLOAD, {"n": 1, "s": "x"}),
    ],
)
def test_ordinary_rows_go_the_quick_way(encoder: Encoder, row: Row) -> None:
    """Good rows, nulls among them, are not turned down: that would cost four times the time."""
    assert encoder._quick(row_to_json(row)).startswith(b"m")


@pytest.mark.parametrize(
    ("encoder", "row"),
    [
        (SERIES, {"n": 1, "i": None, "b": True, "s": "x y", "j": [], "a, b=c": 0}),
        (SERIES_OF_NUMBERS, {"n": 1.5, "i": 7}),
        (SERIES_FROM_PAYLOAD, {"n": 1.5, "s": "x"}),
        (SERIES_FROM_PAYLOAD, {"n": 1.5, "s": 7.5}),
    ],
)
def test_all_but_the_first_row_of_a_series_go_the_quick_way(encoder: Encoder, row: Row) -> None:
    """What a new series is called is the careful way's business; from then on its rows are quick."""
    text = row_to_json(row)
    fresh = Encoder(encoder._mapping)
    with pytest.raises(NOT_QUICK):
        fresh._quick(text)
    line = fresh._encode_carefully(text, Counter())
    assert fresh._quick(text) == line


@pytest.mark.parametrize(
    "value", ['"Infinity"', "9007199254740993", "1e400", '"x"', "true", "[1]", '"\\ud800"']
)
def test_what_needs_a_count_or_a_reason_is_turned_down(value: str) -> None:
    """A value that has to be nulled, rounded or refused never passes the quick way."""
    with pytest.raises(NOT_QUICK):
        ONE_FIELD._quick(f'{{{TIME},"n":{value}}}'.encode())


def test_a_time_out_of_range_is_refused_at_once() -> None:
    """The quick way refuses a time by the same reason as the careful way."""
    row = json.dumps({"timestamp": "2300-01-01T00:00:00+00:00", "n": 1}).encode()
    for way in (ONE_FIELD._quick, lambda text: ONE_FIELD._encode_carefully(text, Counter())):
        with pytest.raises(PayloadError) as refusal:
            way(row)
        assert refusal.value.reason == "time_out_of_range"


def test_keys_that_msgspec_cannot_have_are_read_carefully() -> None:
    """A column with a quote, backslash or control character turns the quick way off, not the route."""
    for name in ('a"b', "a\\b", "a\nb"):
        with pytest.raises(NOT_QUICK):
            Encoder(table({name: "float8"}))._quick(GOOD)
        named = Encoder(table({"v": "float8", name: "text"}, series=name))
        row = json.dumps({"timestamp": "2026-11-24T10:33:03+00:00", "v": 1, name: "x"}).encode()
        assert named._encode_carefully(row, Counter()).startswith(b"m x=1 ")
        with pytest.raises(NOT_QUICK):
            named._quick(row)
