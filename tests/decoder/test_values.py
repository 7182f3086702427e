"""Single JSON values: times to the nanosecond at every edge, numbers at the limits of float64."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.decoder.values import json_members, number_field, series_text, time_ns
from trio_bridge.errors import PayloadError

INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        (b'"1970-01-01T00:00:00+00:00"', 0),
        (b'"2026-11-24T10:33:03.123456+00:00"', 1_795_516_383_123_456_000),
        (b'"2026-11-24T10:33:03.123456"', 1_795_516_383_123_456_000),
        (b'"2026-11-24T11:33:03.5+01:00"', 1_795_516_383_500_000_000),
        (b'"2026-11-24 10:33:03.123456+00"', 1_795_516_383_123_456_000),
        (b'"2026-11-24T10:33:03Z"', 1_795_516_383_000_000_000),
        (b'"1883-11-18T12:03:58-00:00:02"', -2_717_668_560_000_000_000),
        (b'"2026-11-24"', 1_795_478_400_000_000_000),
        (b'"1969-12-31T23:59:59.999999+00:00"', -1_000),
        (b'"1677-09-21T00:12:43.145225+00:00"', -9_223_372_036_854_775_000),
        (b'"2262-04-11T23:47:16.854775+00:00"', 9_223_372_036_854_775_000),
        (b"0", 0),
        (b"1700000000", 1_700_000_000_000_000_000),
        (b"-1.5", -1_500_000_000),
        (b"1700000000.123456", 1_700_000_000_123_456_000),
        (b"1700000000.1234567894", 1_700_000_000_123_456_789),
        (b"1.7e9", 1_700_000_000_000_000_000),
        (b'"1700000000.000000001"', 1_700_000_000_000_000_001),
        (b"1e-999999999", 0),
        (b"1" + b"0" * 9 + b"." + b"0" * 400 + b"1", 1_000_000_000_000_000_000),
    ],
)
def test_times_are_exact(value: bytes, ns: int) -> None:
    """Every spelling of a time, with or without zone, as text or as seconds, becomes exactly its nanosecond."""
    assert time_ns(value, "t", "s") == ns


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "time_missing"),
        (b"null", "time_missing"),
        (b'"infinity"', "time_infinite"),
        (b'"-infinity"', "time_infinite"),
        (b'"Infinity"', "time_infinite"),
        (b'"NaN"', "time_invalid"),
        (b'"0044-03-15T00:00:00 BC"', "time_out_of_range"),
        (b'"0044-03-15T00:00:00+00:00 BC"', "time_out_of_range"),
        (b'"0044-03-15 BC"', "time_out_of_range"),
        (b'"12345-01-01T00:00:00+00:00"', "time_out_of_range"),
        (b'"294276-12-31"', "time_out_of_range"),
        (b'"9999-12-31T23:59:59.999999+00:00"', "time_out_of_range"),
        (b'"0001-01-01T00:00:00+15:00"', "time_out_of_range"),
        (b'"1677-09-21T00:12:43.145224+00:00"', "time_out_of_range"),
        (b'"2262-04-11T23:47:16.854776+00:00"', "time_out_of_range"),
        (b"9223372037", "time_out_of_range"),
        (b"1e999999999", "time_out_of_range"),
        (b"1e99999999999999999999", "time_out_of_range"),
        (b"9" * 5000, "time_out_of_range"),
        (b'"2026-13-01"', "time_invalid"),
        (b'"2026-11-24T25:00:00"', "time_invalid"),
        (b'"1712121212123 x"', "time_invalid"),
        (b'"yesterday"', "time_invalid"),
        (b'""', "time_invalid"),
        (b'"\\u0661\\u0662"', "time_invalid"),
        (b"true", "time_invalid"),
        (b"[1]", "time_invalid"),
        (b'{"a":1}', "time_invalid"),
    ],
)
def test_what_is_no_time_says_why(value: bytes | None, reason: str) -> None:
    """A time that a line cannot carry is refused by its reason, never replaced by another time."""
    with pytest.raises(PayloadError) as refusal:
        time_ns(value, "t", "s")
    assert refusal.value.reason == reason


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_a_number_counts_its_unit(unit, per_second: int) -> None:
    """The same moment in each unit is the same nanosecond."""
    assert time_ns(str(1_700_000_000 * per_second).encode(), "t", unit) == 1_700_000_000_000_000_000


@given(INT64)
def test_a_count_of_nanoseconds_is_kept_over_the_whole_range(ns: int) -> None:
    """Any int64, as a number or as a text, is its own time in ns."""
    assert time_ns(str(ns).encode(), "t", "ns") == ns
    assert time_ns(f'"{ns}"'.encode(), "t", "ns") == ns


@given(st.integers(-(2**63) // 1000 + 1, 2**63 // 1000 - 1))
def test_microseconds_are_kept_over_the_whole_range(us: int) -> None:
    """Any timestamp that Postgres can hold and a line can carry keeps its microseconds."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    assert time_ns(f'"{moment.isoformat()}"'.encode(), "t", "s") == us * 1000
    assert time_ns(str(Decimal(us).scaleb(-6)).encode(), "t", "s") == us * 1000


@pytest.mark.parametrize(
    ("value", "word", "nulled"),
    [
        (b"9007199254740992", "9007199254740992", {}),
        (b"-9007199254740992", "-9007199254740992", {}),
        (b"9007199254740993", "9007199254740992.0", {"rounded": 1}),
        (b"9007199254740994", "9007199254740994.0", {}),
        (b"9223372036854775807", "9.223372036854776e+18", {"rounded": 1}),
        (b"1" + b"0" * 308, "1e+308", {"rounded": 1}),
        (b"5e-324", "5e-324", {}),
        (b"1e-400", "0.0", {}),
        (b"-0.0", "-0.0", {}),
        (b"0." + b"1" * 900, "0.1111111111111111", {}),
        (b'"NaN"', '"NaN"', {}),
        (b'"-Infinity"', '"NaN"', {"infinity": 1}),
        (b"true", "1", {}),
        (None, '"NaN"', {"missing": 1}),
    ],
)
def test_numbers_are_float64(value: bytes | None, word: str, nulled: dict[str, int]) -> None:
    """A number is written as the float64 next to it, and counted where that is not what the row said."""
    noted: Counter[str] = Counter()
    assert number_field(value, "v", noted) == word
    assert noted == nulled


@pytest.mark.parametrize("value", [b"1e400", b"-1e400", b"1" * 401, b"1" * 100_000, b"1" * 310 + b".5"])
def test_numbers_beyond_float64_are_refused(value: bytes) -> None:
    """Grafana's parser takes no number that float64 cannot hold, so neither do we."""
    with pytest.raises(PayloadError) as refusal:
        number_field(value, "v", Counter())
    assert refusal.value.reason == "out_of_range"


@pytest.mark.parametrize("value", [b'"12"', b'""', b"[]", b"{}", b'"nan"', b'"Inf"'])
def test_no_other_value_is_a_number(value: bytes) -> None:
    """A text, an array or an object in a number field is refused, and the refusal does not show it."""
    with pytest.raises(PayloadError) as refusal:
        number_field(value, "v", Counter())
    assert refusal.value.reason == "wrong_type"
    assert str(refusal.value) == '"v" is no number'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'"a\\n\\u0041"', "a\nA"),
        (b"17", "17"),
        (b"1.50", "1.50"),
        (b"false", "false"),
        (b'"null"', "null"),
        (b'" "', " "),
    ],
)
def test_a_series_is_called_as_the_row_says(value: bytes, text: str) -> None:
    """A string by its characters, any other value by its JSON text."""
    assert series_text(value, "s") == text


@pytest.mark.parametrize("value", [None, b"null", b'""'])
def test_nothing_is_no_series(value: bytes | None) -> None:
    """Null, the empty text and a missing key are refused, and the sentence names the column."""
    with pytest.raises(PayloadError, match='"s" is null, empty or missing') as refusal:
        series_text(value, "s")
    assert refusal.value.reason == "series_missing"


@pytest.mark.parametrize(
    ("row", "member", "noted"),
    [
        (b'{"a":"x\\ud800y"}', b'"x\\ufffdy"', 1),
        (b'{"a":"\\udc00\\ud800"}', b'"\\ufffd\\ufffd"', 1),
        (b'{"a":"\\ud83d\\ude00"}', b'"\\ud83d\\ude00"', 0),
        (b'{"a":"\\\\ud800"}', b'"\\\\ud800"', 0),
        (b'{"a":"\\\\\\ud800"}', b'"\\\\\\ufffd"', 1),
        (b'{"a":"\xff"}', '"\ufffd"'.encode(), 1),
        (b'{"a":"\xed\xa0\x80"}', '"\ufffd\ufffd\ufffd"'.encode(), 1),
    ],
)
def test_what_is_not_unicode_is_replaced(row: bytes, member: bytes, noted: int) -> None:
    """Halves of surrogate pairs and bytes that are not UTF-8 become U+FFFD; pairs and escaped backslashes stay."""
    nulled: Counter[str] = Counter()
    assert json_members(row, nulled) == {"a": member}
    assert nulled["not_unicode"] == noted
