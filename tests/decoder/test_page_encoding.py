"""A page goes one way or row by row: the points are the same, and whatever needs care is turned down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decoder.test_encoder import COLUMNS, GOOD, NS, ROWS, TIME, Row, payload, row_to_json, table
from trio_bridge.decoder.encoder import Encoder
from trio_bridge.decoder.mapping import Mapping
from trio_bridge.decoder.page_encoding import LEAST_ROWS, PageWay, page_way
from trio_bridge.decoder.quick_encoding import NOT_QUICK
from trio_bridge.errors import PayloadError
from trio_bridge.live.lines import parse
from trio_bridge.records import Page


def way_of(mapping: Mapping) -> PageWay:
    way = page_way(mapping, Encoder(mapping)._template)
    assert way is not None
    return way


MAPPINGS = [table(COLUMNS), table({"n": "float8"}), table(COLUMNS, tags=("s",))]
ONE_FIELD = way_of(MAPPINGS[1])


@given(st.lists(ROWS, min_size=1, max_size=5), st.sampled_from(MAPPINGS))
def test_both_ways_say_the_same_points(rows: list[Row], mapping: Mapping) -> None:
    """Whatever page the way takes, row by row it is the same points in the same order, and nothing is counted."""
    texts = [row_to_json(row) for row in rows]
    try:
        lines, times = way_of(mapping)(texts)
    except (*NOT_QUICK, PayloadError):
        return
    encoder = Encoder(mapping)
    batches = [encoder.encode(Page(1, [text], ["key"], 0.0)) for text in texts]
    assert [(batch.rejections, batch.nulled) for batch in batches] == [([], {})] * len(rows)
    for line, time, batch in zip(lines, times, batches, strict=True):
        assert parse(line, lambda: 0) == parse(batch.lines[0], lambda: 0)
        assert line.endswith(b" %d" % time)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("0.1", "0.1"),
        ("1e+20", "1e+20"),
        ("-2.2250738585072014e-308", "-2.2250738585072014e-308"),
        ("3.14159265358979323846264", "3.14159265358979323846264"),
        ("null", '"NaN"'),
        ('"NaN"', '"NaN"'),
    ],
)
def test_a_number_is_the_text_that_postgres_wrote(value: str, word: str) -> None:
    """It is not read and written again; null and NaN are Grafana's null."""
    lines, times = ONE_FIELD([f'{{{TIME},"n":{value}}}'.encode()])
    assert lines == [f"m n={word} {NS}".encode()]
    assert times == [NS]


@pytest.mark.parametrize(
    "value",
    [
        '"Infinity"',
        "9007199254740993",
        "1e400",
        "1" * 400 + ".5",
        '"x"',
        '"12"',
        "true",
        "[1]",
        '"\\ud800"',
        '"1\\n2"',
    ],
)
def test_a_value_that_is_no_plain_number_is_turned_down(value: str) -> None:
    """What has to be nulled, rounded or refused is not sent as it stands."""
    with pytest.raises(NOT_QUICK):
        ONE_FIELD([GOOD.replace(b'"v"', b'"n"'), f'{{{TIME},"n":{value}}}'.encode()])


@pytest.mark.parametrize(
    "rows",
    [
        [None],
        [b'{"n":1,' + TIME.encode() + b"},{" + TIME.encode() + b',"n":2}'],
        [b'{"n":1,"timestamp":"2300-01-01T00:00:00+00:00"}'],
        [b'{"n":1,"timestamp":"infinity"}'],
        [b'{"n":1}'],
        [b"{"],
    ],
)
def test_a_page_with_a_row_that_is_none_is_turned_down(rows: list[bytes | None]) -> None:
    """Too large to be fetched, two in one, without a time, no JSON: row by row each gets its reason."""
    with pytest.raises((*NOT_QUICK, PayloadError)):
        ONE_FIELD(rows)


def test_one_bad_row_does_not_harm_its_neighbours() -> None:
    """A page that is turned down is encoded row by row: one rejection, one null that is counted, the others as ever."""
    values = [str(number / 2) for number in range(LEAST_ROWS)]
    values[2], values[5] = '"Infinity"', '"x"'
    rows = [f'{{{TIME},"n":{value}}}'.encode() for value in values]
    batch = Encoder(MAPPINGS[1]).encode(Page(1, rows, [f"row {n}" for n in range(len(rows))], 0.0))
    assert [rejection.key for rejection in batch.rejections] == ["row 5"]
    assert batch.nulled == {"infinity": 1}
    assert len(batch.lines) == len(rows) - 1


def test_rows_leave_by_time_and_stale_ones_are_told() -> None:
    """A whole page is put in order and held against the oldest that is wanted, as single rows are."""
    rows = [
        f'{{"timestamp":"2026-11-24T10:33:{59 - n:02}+00:00","n":{n}}}'.encode() for n in range(LEAST_ROWS)
    ]
    keys = [str(n) for n in range(LEAST_ROWS)]
    encoder = Encoder(MAPPINGS[1])
    batch = encoder.encode(Page(1, rows, keys, 0.0))
    times = [int(line.rpartition(b" ")[2]) for line in batch.lines]
    assert times == sorted(times)
    assert list(batch.keys) == keys[::-1]
    stale = encoder.encode(Page(1, rows, keys, 0.0), times[3])
    assert [rejection.key for rejection in stale.rejections] == keys[-3:]
    assert stale.lines == batch.lines[3:]


def test_payloads_and_unreadable_names_have_no_such_way() -> None:
    """Joined payloads could say what none of them says; msgspec has no keys with quotes."""
    for mapping in (payload(fields=("n",)), table({'a"b': "float8"})):
        assert page_way(mapping, "") is None
