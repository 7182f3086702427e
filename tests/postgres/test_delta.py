"""The delta against a real server: exactly what the position had not seen, page by page, along the index."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.pg import Database
from tests.postgres.eye import ANSWER_S, EARLIEST, Eye, now, opened, value
from trio_bridge.config.names import TableName
from trio_bridge.postgres import delta as delta_module
from trio_bridge.postgres.delta import MAX_ROW_BYTES, PAGE_BYTES
from trio_bridge.postgres.install import install
from trio_bridge.postgres.position import Position, RowMark, Span
from trio_bridge.postgres.session import Session, StatementRefused

T = TableName("public", "t")


@pytest.fixture
def table(database: Database) -> Database:
    """A database with a watched table t."""
    database.execute("CREATE TABLE t (id bigint PRIMARY KEY, v text)")
    install(database.dsn, T, routes=["r"])
    return database


def _pages_of(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(delta_module, "PAGE_ROWS", rows)
    monkeypatch.setattr(delta_module, "FIRST_PAGE_ROWS", rows)


class Writer:
    """One session that does something at random: statements, savepoints, commits, also nothing for a long time."""

    def __init__(self, connection: psycopg.Connection, number: int, choice: random.Random) -> None:
        self._connection = connection
        self._choice = choice
        # Ids of different writers never meet (they would wait for each other) and do not rise with time.
        self._ids = iter(choice.sample(range(number * 1_000_000, (number + 1) * 1_000_000), 100_000))
        self._known: list[int] = []
        self._depth = 0
        self._open = False

    def act(self) -> None:
        acts = [self._insert, self._copy, self._conflict, self._savepoint, self._back, self._end, self._end]
        if not self._open:
            self._connection.execute("BEGIN")
            self._open = True
        self._choice.choice(acts)()

    def end(self) -> None:
        if self._open:
            self._connection.execute("COMMIT")

    def _insert(self) -> None:
        count = self._choice.choice([1, 1, 3, 8])
        ids = [next(self._ids) for _ in range(count)]
        self._known += ids
        self._connection.execute("INSERT INTO t SELECT unnest(%s::bigint[]), 'insert'", (ids,))

    def _copy(self) -> None:
        with self._connection.cursor().copy("COPY t (id, v) FROM STDIN") as copy:
            for _ in range(5):
                copy.write_row((next(self._ids), "copy"))

    def _conflict(self) -> None:
        ids = [next(self._ids), *self._choice.sample(self._known, min(2, len(self._known)))]
        conflict = self._choice.choice(["DO NOTHING", "(id) DO UPDATE SET v = t.v || '+'"])
        self._connection.execute(
            f"INSERT INTO t SELECT unnest(%s::bigint[]), 'conflict' ON CONFLICT {conflict}", (ids,)
        )

    def _savepoint(self) -> None:
        self._connection.execute(f"SAVEPOINT s{self._depth}")
        self._depth += 1

    def _back(self) -> None:
        if self._depth:
            self._depth -= 1
            self._connection.execute(f"ROLLBACK TO s{self._depth}")
            self._depth += self._choice.choice([0, 1])

    def _end(self) -> None:
        # Some stay open across many of the others' transactions.
        if self._choice.random() < 0.5:
            self._connection.execute(self._choice.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
            self._open, self._depth = False, 0


@pytest.mark.parametrize("seed", range(6))
def test_random_histories(table: Database, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever several sessions do, each delta is exactly the rows not visible in P and visible in S, each once."""
    choice = random.Random(seed)
    _pages_of(monkeypatch, choice.choice([2, 3, 7]))
    delivered: set[int] = set()
    visible = "SELECT id FROM t WHERE txid IS NOT NULL AND pg_visible_in_snapshot(txid, %s::pg_snapshot)"
    with (
        opened(table.dsn) as session,
        table.connect() as one,
        table.connect() as two,
        table.connect() as three,
        table.connect() as four,
        table.connect() as judge,
    ):
        # It waits for the other four, however slow the machine is.
        session.query("SET idle_session_timeout = 0", timeout_s=ANSWER_S)
        writers = [Writer(each, number, choice) for number, each in enumerate((one, two, three, four))]
        eye = Eye(session, T, now(session))
        for step in range(600):
            choice.choice(writers).act()
            if step == 599:
                for writer in writers:
                    writer.end()
            elif choice.random() > 0.15:
                continue
            # Pages of one delta, with the others going on between them.
            while True:
                page = eye.page()
                found = [json.loads(row)["id"] for row in page.rows if row is not None]
                assert page.keys == [str(each) for each in found]
                assert len(set(found)) == len(found)
                assert not delivered & set(found)
                delivered |= set(found)
                if not page.more:
                    break
                if step < 599:
                    choice.choice(writers).act()
            expected = {each for (each,) in judge.execute(visible, (str(eye.position.snapshot),))}
            assert delivered == expected
        assert delivered == {each for (each,) in judge.execute("SELECT id FROM t")}
        assert len(delivered) > 200
        assert all(eye.spans.values()), eye.spans


@pytest.mark.fault(33)
def test_row_of_a_long_transaction(table: Database) -> None:
    """A transaction that began before a hundred positions is delivered at its commit, from any of them."""
    with opened(table.dsn) as session, table.connect(autocommit=False) as slow:
        slow.execute("INSERT INTO t VALUES (0)")
        eye = Eye(session, T, now(session))
        for number in range(1, 101):
            table.execute("INSERT INTO t VALUES (%s)", number)
            assert eye.values("id") == [number]
        slow.commit()
        assert eye.values("id") == [0]
        assert eye.values("id") == []


ALL_KEYS = """
    CREATE SCHEMA "Else where";
    CREATE TYPE "Else where"."Mood" AS ENUM ('sad', 'ok', 'happy');
    CREATE DOMAIN code AS text COLLATE "POSIX";
    CREATE TABLE t (
        v int, fixed char(3), mood "Else where"."Mood", n numeric, at timestamptz, u uuid, name text COLLATE "C",
        bits bit(4), yes boolean, code code COLLATE "C", small "char", net inet, span interval, b bytea, day date,
        real float8, id bigint,
        PRIMARY KEY (fixed, mood, n, at, name, bits, yes, code, small, net, span, b, day, real, u, id)
    )
"""


def test_key_of_many_types(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A composite key of sixteen types, each with awkward values, is paged through without a gap or a repetition."""
    database.execute(ALL_KEYS)
    install(database.dsn, T, routes=["r"])
    database.execute(r"""
        INSERT INTO t SELECT i.g, pick.* FROM generate_series(1, 200) AS i (g), LATERAL (
            SELECT (ARRAY['a', 'ab', 'abc', 'a b', ' '])[1 + (g * 2) % 5]::char(3),
                   (ARRAY['sad', 'ok', 'happy'])[1 + (g * 2) % 3]::"Else where"."Mood",
                   (ARRAY['NaN', '0.10', '-1e-20', '123456789012345678901234567890.5', 'Infinity'])[1 + g % 5]::numeric,
                   (ARRAY['infinity', '-infinity', '2024-02-29 12:00:00.123456+02', '0044-03-15 BC'])[1 + g % 4]
                       ::timestamptz,
                   ('00000000-0000-4000-8000-' || lpad(g::text, 12, '0'))::uuid,
                   (ARRAY['', 'ä', 'Z', 'a,b', '"q"', 'back\slash', '{}', 'NULL'])[1 + g % 8],
                   (g % 16)::bit(4), g % 2 = 0, (ARRAY['', 'a', 'B'])[1 + g % 3],
                   (ARRAY['', 'x'])[1 + g % 2]::"char", ('10.0.0.' || g)::inet, make_interval(months => g, secs => -g),
                   decode(lpad(to_hex(g), 4, '0'), 'hex'), '2024-01-01'::date + g,
                   (ARRAY['NaN', '-0', '1e-300', '0.1', '-Infinity'])[1 + g % 5]::float8, g
        ) pick
    """)
    _pages_of(monkeypatch, 7)
    with opened(database.dsn) as session:
        eye = Eye(session, T)
        assert eye.values("v") == [
            v
            for (v,) in database.execute(
                "SELECT v FROM t ORDER BY fixed, mood, n, at, name, bits, yes, code, small, net, span, b, day, real"
            )
        ]
        assert max(eye.pages) == 7
        assert eye.spans[Span.AHEAD] > 20


def test_keys_tell_rows_apart(database: Database) -> None:
    """Every row of a table with a composite key has a text of its own, whatever commas are in its parts."""
    database.execute("CREATE TABLE t (a text, b text, PRIMARY KEY (a, b))")
    install(database.dsn, T, routes=["r"])
    parts = ["x", "x,", "x, ", ",x", " x", "x, x", "x, x\\", "x\\", "x\\,", ",", "\\", ""]
    database.execute(
        "INSERT INTO t SELECT a, b FROM unnest(%s::text[]) a, unnest(%s::text[]) b", parts, parts
    )
    with opened(database.dsn) as session:
        eye = Eye(session, T)
        keys: list[str] = []
        while True:
            page = eye.page()
            keys += page.keys
            if not page.more:
                break
    assert len(keys) == len(set(keys)) == len(parts) ** 2
    assert {"x, x", r"x\,, x", r"x\\, x"} <= set(keys)


def test_columns_of_any_name(database: Database) -> None:
    """Columns named like the parts of our statement, and txid asked for by name, are told apart."""
    database.execute(
        "CREATE TABLE t (b int, s int, d int, q int, k0 int, r int, u int, d0 int, PRIMARY KEY (k0, d))"
    )
    install(database.dsn, T, routes=["r"])
    database.execute("INSERT INTO t VALUES (1, 2, 3, 4, 5, 6, 7, 8)")
    with opened(database.dsn) as session:
        (row,) = Eye(session, T).rows()
    assert row is not None
    assert "txid" in row
    assert {name: cell for name, cell in row.items() if name != "txid"} == {
        "b": 1, "s": 2, "d": 3, "q": 4, "k0": 5, "r": 6, "u": 7, "d0": 8,
    }  # fmt: skip


def test_large_rows(table: Database) -> None:
    """A row whose text is too long comes as None with its key; one byte less and it comes whole."""
    overhead = len('{"txid":"","id":1,"v":""}')
    with opened(table.dsn) as session:
        eye = Eye(session, T)
        ((txid,),) = table.execute("INSERT INTO t VALUES (1) RETURNING txid::text")
        fits = MAX_ROW_BYTES - overhead - len(txid)
        assert len(eye.rows()) == 1
        table.execute(
            "INSERT INTO t VALUES (2, repeat('x', %s)), (3, repeat('x', %s)), (4, 'y')", fits, fits + 1
        )
        page = eye.page()
    assert page.keys == ["2", "3", "4"]
    assert [None if row is None else len(row) for row in page.rows][:2] == [MAX_ROW_BYTES, None]
    assert page.rows[2] is not None


def test_pages_of_wide_rows(table: Database) -> None:
    """However wide the rows are, a page stays near its bytes, none is lost, and narrow rows get large pages again."""
    with table.connect() as writer:
        writer.execute("INSERT INTO t SELECT g, 'narrow' FROM generate_series(1, 5000) g")
        writer.execute("INSERT INTO t SELECT g, repeat('w', 60000) FROM generate_series(5001, 5400) g")
        writer.execute("INSERT INTO t SELECT g, repeat('h', 200000) FROM generate_series(5401, 5450) g")
        writer.execute("INSERT INTO t SELECT g, 'narrow' FROM generate_series(5451, 15000) g")
    with opened(table.dsn) as session:
        eye = Eye(session, T)
        keys: list[str] = []
        large = 0
        while True:
            page = eye.page()
            keys += page.keys
            large += page.rows.count(None)
            assert sum(len(row) for row in page.rows if row is not None) <= PAGE_BYTES + MAX_ROW_BYTES
            if not page.more:
                break
        assert keys == [str(number) for number in range(1, 15_001)]
        assert large == 50
        assert max(eye.pages) == delta_module.PAGE_ROWS
        # The first knows nothing of the rows; the one that meets the wide ones is cut.
        assert eye.pages[:3] == [16, 256, 2000]
        assert min(eye.pages[:-1]) >= 10


@pytest.mark.fault(125)
def test_locked_and_rewritten_meanwhile(table: Database) -> None:
    """A table that is rewritten while the delta waits for its lock shows every row, whatever the default isolation."""
    with table.server.connect() as connection:
        connection.execute(f"ALTER DATABASE {table.name} SET default_transaction_isolation = 'serializable'")
    with opened(table.dsn, heartbeat_s=2) as session:
        eye = Eye(session, T)
        with table.connect(autocommit=False) as owner:
            owner.execute("INSERT INTO t SELECT generate_series(1, 10)")
            owner.execute("ALTER TABLE t ALTER COLUMN v TYPE varchar(7)")
            release = threading.Timer(0.3, owner.commit)
            release.start()
            rows = eye.values("id")
            release.join()
        assert rows == list(range(1, 11))


def test_locked_for_longer(table: Database) -> None:
    """A lock that outlasts a heartbeat is an answer; the position stays, and the rows come when it is free."""
    with opened(table.dsn, heartbeat_s=0.1) as session:
        eye = Eye(session, T)
        table.execute("INSERT INTO t VALUES (1)")
        with table.connect(autocommit=False) as owner:
            owner.execute("LOCK TABLE t")
            began = time.monotonic()
            with pytest.raises(StatementRefused) as refused:
                eye.page()
            assert refused.value.sqlstate == "55P03"
            assert time.monotonic() - began < 0.3
            assert eye.position == EARLIEST
        assert eye.values("id") == [1]


# ---- plans ----

TABLES = {
    "never analysed": """
        CREATE TABLE t (id bigint PRIMARY KEY, v text);
    """,
    "composite": """
        CREATE TABLE t (id bigint, v text, PRIMARY KEY (v, id));
    """,
    "partitioned": """
        CREATE TABLE t (id bigint, v text, PRIMARY KEY (id)) PARTITION BY HASH (id);
        CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER 0);
        CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER 1) PARTITION BY HASH (id);
        CREATE TABLE t10 PARTITION OF t1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE t11 PARTITION OF t1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE TABLE t2 PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER 2);
    """,
}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from _nodes(part)


def _explain(session: Session, eye: Eye, position: Position) -> dict[str, Any]:
    """The plan of the page after `position`, as it ran."""
    literals = ", ".join(sql.Literal(param).as_string() for param in eye.reader.params(position))
    statement = (
        f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE {position.span.value} ({literals})"
    )
    plan: dict[str, Any] = json.loads(value(session, statement) or "")[0]["Plan"]
    return plan


def _assert_index_scans(plan: dict[str, Any]) -> None:
    kinds = {node["Node Type"] for node in _nodes(plan)}
    assert kinds <= {
        "Append", "Merge Append", "CTE Scan", "Result", "Limit", "Subquery Scan", "Index Scan", "Index Only Scan",
    }, kinds  # fmt: skip
    scans = [node for node in _nodes(plan) if node["Node Type"].startswith("Index")]
    assert scans
    for scan in scans:
        assert "txid" in scan["Index Name"]
        assert "txid" in scan["Index Cond"]
    # No scan reads what its bound should have kept out.
    removed = sum(node.get("Rows Removed by Filter", 0) for node in scans)
    assert removed == 0


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("state", ["fresh", "analysed", "nearly all old", "nearly all old, analysed"])
def test_plans(database: Database, monkeypatch: pytest.MonkeyPatch, name: str, state: str) -> None:
    """All three statements are index scans in the index's order, whatever the statistics say, and stay so."""
    database.execute(TABLES[name])
    if "old" in state:
        database.execute("INSERT INTO t SELECT g, 'old' FROM generate_series(1, 20000) g")
    install(database.dsn, T, routes=["r"])
    _pages_of(monkeypatch, 50)
    with opened(database.dsn) as session, database.connect(autocommit=False) as slow:
        slow.execute("INSERT INTO t SELECT g, 'slow' FROM generate_series(100001, 100200) g")
        start = now(session)
        count = 200 if "old" in state else 10_000
        database.execute("INSERT INTO t SELECT g, 'new' FROM generate_series(200001, 200000 + %s) g", count)
        slow.commit()
        if "analysed" in state:
            database.execute("ANALYZE t")
        eye = Eye(session, T, start)
        explained = set()
        while True:
            position = eye.position
            if position.span not in explained:
                explained.add(position.span)
                _assert_index_scans(_explain(session, eye, position))
            if not eye.page().more:
                break
        # In progress at the start: only if its id was below the snapshot's xmax is there an IN_FLIGHT page.
        assert {Span.FIRST, Span.AHEAD} <= explained
        assert sum(eye.pages) == count + 200
        idle = _explain(session, eye, eye.position)
        _assert_index_scans(idle)
        assert _buffers(idle) < 60


def _buffers(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.fault(40)
@pytest.mark.parametrize("name", TABLES)
def test_pages_stay_flat(database: Database, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The fiftieth page of one large transaction reads no more of the table than the first."""
    database.execute(TABLES[name])
    install(database.dsn, T, routes=["r"])
    database.execute("INSERT INTO t SELECT g, 'x' FROM generate_series(1, 12000) g")
    _pages_of(monkeypatch, 200)
    with opened(database.dsn) as session:
        eye = Eye(session, T)
        first = _buffers(_explain(session, eye, eye.position))
        for _ in range(50):
            assert eye.page().more
        later = _explain(session, eye, eye.position)
        _assert_index_scans(later)
        assert _buffers(later) <= 3 * first


def test_in_flight_pages_stay_flat(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for a large transaction that was in progress at the position."""
    database.execute(TABLES["never analysed"])
    install(database.dsn, T, routes=["r"])
    _pages_of(monkeypatch, 200)
    with opened(database.dsn) as session, database.connect(autocommit=False) as slow:
        slow.execute("INSERT INTO t SELECT g, 'x' FROM generate_series(1, 12000) g")
        ((txid,),) = slow.execute("SELECT pg_current_xact_id()::text::bigint").fetchall()
        database.execute("INSERT INTO t VALUES (0)")
        eye = Eye(session, T, now(session))
        assert eye.position.snapshot.xip == (txid,)
        slow.commit()
        assert eye.page().more
        assert eye.position.span is Span.IN_FLIGHT
        first = _buffers(_explain(session, eye, eye.position))
        for _ in range(50):
            assert eye.page().more
        later = _explain(session, eye, eye.position)
        _assert_index_scans(later)
        assert _buffers(later) <= 3 * first
        assert eye.position.after == RowMark(txid, ("10200",))
