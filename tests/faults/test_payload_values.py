"""Values that Postgres can hold and a line cannot, or only in part: what arrives, what is refused, what is counted."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.faults.rows import rows_of
from tests.pg import Database
from trio_bridge.live.lines import Point

TABLE = """
CREATE TABLE m (
    id int PRIMARY KEY, "timestamp" timestamptz DEFAULT '2026-01-01 00:00:00.000001+00',
    f8 float8, f4 float4, n numeric, i8 int8, t text, j json
)
"""
FIELDS = ("id", "f8", "f4", "n", "i8", "t", "j")
AT_NS = 1_767_225_600_000_001_000


def value(point: Point, name: str) -> object:
    """A field as a browser has it: None where Grafana makes a null of it."""
    found = point.fields[name]
    return None if found in ("NaN", "") else found


@pytest.mark.fault(85)
async def test_numbers_that_are_none(database: Database) -> None:
    """NaN and Infinity are nulls beside their row's other fields, and counted; what float64 cannot hold is refused."""
    numbers = {
        1: ("f8", "'NaN'", None), 2: ("f8", "'Infinity'", None), 3: ("f8", "'-Infinity'", None),
        4: ("f8", "'-0'", 0.0), 5: ("f8", "5e-324", 5e-324), 6: ("f8", "1e308", 1e308), 7: ("f4", "'NaN'", None),
        8: ("f4", "'-Infinity'", None), 9: ("n", "'NaN'", None), 10: ("n", "'Infinity'", None),
        11: ("n", "0.1", 0.1), 12: ("n", f"{'7' * 300}", float("7" * 300)),
    }  # fmt: skip
    refused = {20: ("n", "1e400"), 21: ("n", "-1e400"), 22: ("n", "9" * 401)}
    async with rows_of(database, TABLE, fields=FIELDS) as rows:
        for key, (column, number, _) in numbers.items():
            rows.execute(f"INSERT INTO m (id, {column}, t) VALUES ({key}, {number}, 'beside')")
        for key, (column, number) in refused.items():
            rows.execute(f"INSERT INTO m (id, {column}) VALUES ({key}, {number}), ({key + 100}, 1)")
        books = await rows.settled(len(numbers) + 2 * len(refused))
        found = rows.by_id
        for key, (column, _, expected) in numbers.items():
            assert value(found[key], column) == expected, numbers[key]
            assert found[key].fields["t"] == "beside"
        assert books.rejected == {"out_of_range": 3}
        assert books.nulled == {"infinity": 4, "rounded": 1}
        # The neighbours of the refused, in the same statement.
        assert {key + 100 for key in refused} <= found.keys()
        for delivery in rows.live.deliveries:
            assert not re.search(rb"=-?(nan|inf)", delivery.raw, re.IGNORECASE)


@pytest.mark.fault(86)
async def test_large_integers(database: Database) -> None:
    """Integers go without a suffix and never arrive as null; what float64 rounds is counted."""
    numbers = [2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 2**64 + 1, 10**40]
    async with rows_of(database, TABLE, fields=FIELDS) as rows:
        for key, number in enumerate(numbers):
            column = "i8" if -(2**63) <= number < 2**63 else "n"
            rows.execute(f"INSERT INTO m (id, i8, n) VALUES ({key}, 0, 0)")
            rows.execute(f"INSERT INTO m (id, {column}) VALUES ({key + 100}, {number})")
        books = await rows.settled(2 * len(numbers))
        found = rows.by_id
        for key, number in enumerate(numbers):
            (arrived,) = [
                found[key + 100].fields[c] for c in ("i8", "n") if found[key + 100].fields[c] != "NaN"
            ]
            assert arrived == float(number)
        assert books.rejected == {}
        assert books.nulled == {"rounded": sum(int(float(number)) != number for number in numbers)}
        for delivery in rows.live.deliveries:
            assert not re.search(rb"=-?[0-9]+[iu][, ]", delivery.raw)


@pytest.mark.fault(89)
async def test_rows_of_nothing(database: Database) -> None:
    """Nulls and empty texts only, an empty tag, a table whose name begins with #: rows all the same, no comment."""
    ddl = 'CREATE TABLE "#m" (id int PRIMARY KEY, "timestamp" timestamptz DEFAULT now(), v float8, t text, tag text)'
    async with rows_of(database, ddl, table='public."#m"', fields=("v", "t"), tags=("tag",)) as rows:
        rows.execute("""INSERT INTO "#m" (id, v, t, tag) VALUES (1, NULL, NULL, NULL), (2, NULL, '', '')""")
        rows.execute("""INSERT INTO "#m" (id, v, t, tag) VALUES (3, 1, 'x', 'a b')""")
        assert (await rows.settled(3)).rejected == {}
        assert {point.measurement for point in rows.points} == {"_m"}
        assert [(point.tags, value(point, "v"), value(point, "t")) for point in rows.points] == [
            (rows.points[0].tags, None, None),
            (rows.points[0].tags, None, None),
            (rows.points[2].tags, 1.0, "x"),
        ]
        assert dict(rows.points[2].tags) == {"tag": "a b"}
        assert not dict(rows.points[0].tags)


@pytest.mark.fault(90)
async def test_times_at_the_edge(database: Database) -> None:
    """A time that a line cannot carry refuses its row by reason; every other is exact, and none is made up."""
    good = {
        1: ("1969-12-31 23:59:59.999999+00", -1_000), 2: ("1677-09-22 00:00:00+00", -9_223_286_400_000_000_000),
        3: ("2262-04-11 23:47:16.854775+00", 9_223_372_036_854_775_000),
        4: ("2026-03-29 03:30:00.123456+02", 1_774_747_800_123_456_000),
        5: ("2026-03-29 01:30:00.123456 UTC", 1_774_747_800_123_456_000),
        6: ("2025-12-31 20:30:00-03:30", 1_767_225_600_000_000_000),
    }  # fmt: skip
    beyond = "time_out_of_range"
    refused = {
        10: ("'infinity'", "time_infinite"), 11: ("'-infinity'", "time_infinite"),
        12: ("'0044-03-15 12:00:00 BC'", beyond), 13: ("'294276-12-31 23:59:59.999999+00'", beyond),
        14: ("'2262-04-11 23:47:16.854776+00'", beyond), 15: ("'1677-09-21 00:00:00+00'", beyond),
        16: ("NULL", "time_missing"),
    }  # fmt: skip
    async with rows_of(database, TABLE, fields=("id",)) as rows:
        with rows.connect() as connection:
            # What a session shows of a time does not change it.
            connection.execute("SET TIME ZONE 'America/St_Johns'")
            for key, (time, _) in good.items():
                connection.execute(f"INSERT INTO m (id, timestamp) VALUES ({key}, '{time}')")
            for key, (time, _) in refused.items():
                connection.execute(f"INSERT INTO m (id, timestamp) VALUES ({key}, {time})")
        books = await rows.settled(len(good) + len(refused))
        assert {key: point.time_ns for key, point in rows.by_id.items()} == {
            key: ns for key, (_, ns) in good.items()
        }
        assert books.rejected == Counter(reason for _, reason in refused.values())


@pytest.mark.fault(91)
async def test_two_rows_of_one_moment(database: Database) -> None:
    """Rows of the same time are all sent; which of them a panel shows is Grafana's choice: the last."""
    async with rows_of(database, TABLE, fields=FIELDS) as rows:
        rows.execute("INSERT INTO m (id, f8) VALUES (1, 1.5), (2, 2.5), (3, 3.5)")
        await rows.settled(3)
        assert [(point.time_ns, point.fields["f8"]) for point in rows.points] == [
            (AT_NS, 1.5),
            (AT_NS, 2.5),
            (AT_NS, 3.5),
        ]
