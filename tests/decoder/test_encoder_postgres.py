"""The encoder on rows that a real PostgreSQL wrote: every type, every special value, every time."""

import pytest

from tests.decoder.test_encoder import NS, encode, table
from tests.pg import Database
from trio_bridge.live.lines import parse

EVERY_TYPE = """
    CREATE TYPE mood AS ENUM ('happy');
    CREATE TABLE m (
        id int8, txid xid8, "timestamp" {time_type},
        i2 int2, i8 int8, f4 float4, f8 float8, n numeric, b bool, s text, u uuid, e mood, d interval, k money,
        j json, jb jsonb, a float8[], by bytea, t timestamptz
    );
"""
TYPES = {
    "i2": "int2",
    "i8": "int8",
    "f4": "float4",
    "f8": "float8",
    "n": "numeric",
    "b": "bool",
    "s": "text",
    "u": "uuid",
    "e": "mood",
    "d": "interval",
    "k": "money",
    "j": "json",
    "jb": "jsonb",
    "a": "_float8",
    "by": "bytea",
    "t": "timestamptz",
}


def rows_of_postgres(database: Database, time_type: str, *inserts: str) -> list[bytes]:
    with database.connect(options="-c timezone=UTC") as connection:
        connection.execute(EVERY_TYPE.format(time_type=time_type))
        for insert in inserts:
            connection.execute(f"INSERT INTO m {insert}")
        rows = connection.execute("SELECT row_to_json(m)::text FROM m ORDER BY id").fetchall()
        return [row[0].encode() for row in rows]


@pytest.mark.fault(85, 86, 87)
def test_rows_that_a_real_postgres_wrote_arrive(database: Database) -> None:
    """Every type and every special value, as row_to_json spells it, becomes the point that the table promises."""
    rows = rows_of_postgres(
        database,
        "timestamptz",
        """VALUES (1, '9', '2026-11-24 11:33:03.123456+01', -7, 42, 0.1, 1e-300, 3.14159265358979323846264, true,
            E'a "b" \\\\ c\\nm v=1 2\\rd', '6c1e5e1a-0d5b-4b1c-8f57-3f7f9d0f4f11', 'happy', '1 day 02:03:04.5', 1234.5,
            '{"x": "\\ud800"}', '{"y":[1]}', '{1.5,NULL}', '\\xff', '2026-01-01')""",
        "(id, timestamp) VALUES (2, '2026-11-24 10:33:03.123456+00')",
        """(id, timestamp, f4, f8, n, i8, s) VALUES
            (3, '2026-11-24 10:33:03.123456+00', 'Infinity', 'NaN', '-Infinity', 9223372036854775807, 'NaN')""",
    )
    batch = encode(table(TYPES), *rows)
    assert batch.rejections == []
    assert batch.nulled == {"control_character": 1, "infinity": 2, "not_unicode": 1, "rounded": 1}
    first, second, third = parse(b"\n".join(batch.lines), lambda: 0)
    assert first.fields == {
        "i2": -7.0,
        "i8": 42.0,
        "f4": 0.1,
        "f8": 1e-300,
        "n": 3.141592653589793,
        "b": 1.0,
        "s": 'a "b" \\ c\nm v=1 2\ufffdd',
        "u": "6c1e5e1a-0d5b-4b1c-8f57-3f7f9d0f4f11",
        "e": "happy",
        "d": "1 day 02:03:04.5",
        "k": first.fields["k"],
        "j": '{"x": "\\ufffd"}',
        "jb": '{"y": [1]}',
        "a": "[1.5,null]",
        "by": "\\xff",
        "t": "2026-01-01T00:00:00+00:00",
    }
    assert str(first.fields["k"]).endswith("1,234.50")
    nulls = {name: "NaN" if number <= 6 else "" for number, name in enumerate(TYPES, 1)}
    assert second.fields == nulls
    assert third.fields == {**nulls, "i8": 2.0**63, "s": "NaN "}
    assert {point.time_ns for point in (first, second, third)} == {NS}


@pytest.mark.fault(90)
@pytest.mark.parametrize("time_type", ["timestamptz", "timestamp", "date"])
def test_times_that_a_real_postgres_wrote_are_refused_by_reason(database: Database, time_type: str) -> None:
    """Infinity, BC and far years, as row_to_json spells them for each type, are refused for what they are."""
    times = ["infinity", "-infinity", "0044-03-15 BC", "12345-01-01", "2263-01-01"]
    inserts = [f"(id, timestamp) VALUES ({number}, '{time}')" for number, time in enumerate(times)]
    batch = encode(
        table(TYPES, time_type=time_type), *rows_of_postgres(database, time_type, *inserts, "DEFAULT VALUES")
    )
    assert [rejection.reason for rejection in batch.rejections] == [
        *["time_infinite"] * 2,
        *["time_out_of_range"] * 3,
        "time_missing",
    ]


@pytest.mark.fault(90)
@pytest.mark.parametrize(
    ("time_type", "inserted", "ns"),
    [
        ("timestamp", "2026-11-24 10:33:03.123456", NS),
        ("date", "2026-11-24", 1_795_478_400_000_000_000),
        ("float8", "1795516383.123456", NS),
        ("numeric", "1795516383.1234560", NS),
        ("int8", "1795516383", 1_795_516_383_000_000_000),
    ],
)
def test_times_that_a_real_postgres_wrote_are_exact(
    database: Database, time_type: str, inserted: str, ns: int
) -> None:
    """Every type that can be the time arrives to the nanosecond."""
    rows = rows_of_postgres(database, time_type, f"(timestamp) VALUES ('{inserted}')")
    (point,) = parse(encode(table(TYPES, time_type=time_type), *rows).lines[0], lambda: 0)
    assert point.time_ns == ns
