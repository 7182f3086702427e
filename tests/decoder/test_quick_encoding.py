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


@given(ROWS, st.sampled_from([ALL_FIELDS, ONE_FIELD, TAGGED, FROM_PAYLOAD]))
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
