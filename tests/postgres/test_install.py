"""Installation: what it changes, whom it does not disturb, what it refuses, and how it is undone."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.pg import Database
from tests.postgres.eye import ANSWER_S, Eye, opened
from trio_bridge.config.names import TableName
from trio_bridge.errors import ConfigError, SourceError
from trio_bridge.postgres import install as installation
from trio_bridge.postgres.catalogue import read_cluster, read_table
from trio_bridge.postgres.checkpoint import Checkpoint
from trio_bridge.postgres.install import DEMO_TABLE, install, sql_text, uninstall
from trio_bridge.postgres.plan import plan_install
from trio_bridge.postgres.queries import INSTALL_CLASS
from trio_bridge.postgres.session import StatementRefused
from trio_bridge.postgres.step import Step

T = TableName("public", "t")


def _identifier(table: TableName) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


def _state(database: Database) -> list[tuple[Any, ...]]:
    """All that describes tables, columns, indexes, triggers, functions, schemas and rights of this database."""
    return database.execute("""
        SELECT 'column', c.oid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod),
               (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = c.oid AND adnum = a.attnum)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
        UNION ALL
        SELECT 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid),
               indisvalid::text
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
        UNION ALL
        SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), tgenabled::text
        FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL
        SELECT 'function', oid::regprocedure::text, prosrc, proacl::text, NULL FROM pg_proc
        WHERE pronamespace::regnamespace::text !~ '^(pg_|information_schema)'
        UNION ALL
        SELECT 'rights', c.oid::regclass::text, relacl::text, n.nspname, n.nspacl::text
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^(pg_|information_schema)'
        UNION ALL
        SELECT 'schema', nspname, nspacl::text, NULL, NULL FROM pg_namespace WHERE nspname !~ '^pg_'
        ORDER BY 1, 2, 3, 4, 5
    """)


def _route(database: Database, table: TableName, name: str) -> tuple[list[dict[str, Any] | None], Eye]:
    """Every row that a bridge that starts now at the checkpoint of route `name` delivers first."""
    with opened(database.dsn) as session:
        eye = Eye(session, table)
        cluster = read_cluster(session, timeout_s=ANSWER_S)
        _, eye.position = Checkpoint.take_over(session, name, cluster, timeout_s=ANSWER_S)
        return eye.rows(), eye


def _checkpoints(database: Database) -> list[str]:
    return [name for (name,) in database.execute("SELECT name FROM trio_bridge.checkpoint ORDER BY name")]


def test_fresh_demo_table(database: Database) -> None:
    """On an empty database the demo's table is made and is ready to be watched."""
    install(database.dsn, DEMO_TABLE, routes=["demo"])
    database.execute("INSERT INTO live_metrics (value, sensor) VALUES (1.5, 'a')")
    rows, eye = _route(database, DEMO_TABLE, "demo")
    assert [(row["value"], row["sensor"]) for row in rows if row] == [(1.5, "a")]
    assert (eye.watched.rings, eye.watched.indexed) == (True, True)


def test_old_rows_stay_old(database: Database) -> None:
    """Rows from before the bridge keep no txid and are not delivered; those that come after are."""
    database.execute("CREATE TABLE t AS SELECT g AS id, g * 2 AS v FROM generate_series(1, 50000) g")
    database.execute("ALTER TABLE t ADD PRIMARY KEY (id)")
    ((before,),) = database.execute("SELECT pg_relation_filenode('t')")
    install(database.dsn, T, routes=["r"])
    assert database.execute("SELECT count(*) FROM t WHERE txid IS NOT NULL") == [(0,)]
    assert database.execute("SELECT pg_relation_filenode('t')") == [(before,)], "the table was rewritten"
    database.execute("INSERT INTO t VALUES (50001, 7)")
    rows, _ = _route(database, T, "r")
    assert [row["id"] for row in rows if row] == [50001]


def test_start_earliest(database: Database) -> None:
    """A route that starts at the earliest gets every row that has a txid; one that starts now, none of them."""
    install(database.dsn, DEMO_TABLE, routes=["first"])
    database.execute("INSERT INTO live_metrics (value) SELECT g FROM generate_series(1, 3) g")
    install(database.dsn, DEMO_TABLE, routes=["all"], start="earliest")
    install(database.dsn, DEMO_TABLE, routes=["later"])
    assert [len(_route(database, DEMO_TABLE, name)[0]) for name in ("first", "all", "later")] == [3, 3, 0]


def test_again_changes_nothing(database: Database) -> None:
    """A second run changes neither the catalogue nor a checkpoint, and takes no lock that a writer would wait for."""
    install(database.dsn, DEMO_TABLE, routes=["demo"])
    before = _state(database), database.execute("SELECT * FROM trio_bridge.checkpoint")
    with database.connect(autocommit=False) as writer:
        writer.execute("INSERT INTO live_metrics (value) VALUES (1)")
        install(database.dsn, DEMO_TABLE, routes=["demo"], start="earliest")
    assert (_state(database), database.execute("SELECT * FROM trio_bridge.checkpoint")) == before


@contextmanager
def _writers(database: Database, table: TableName, count: int = 3) -> Iterator[list[float]]:
    """Sessions that insert without a pause, each statement under a lock timeout of 5 s; yields their delays."""
    stop = threading.Event()
    delays: list[float] = []
    insert = sql.SQL("INSERT INTO {} (id) VALUES (%s)").format(_identifier(table))

    def write(number: int) -> None:
        with database.connect() as connection:
            connection.execute("SET lock_timeout = '5s'")
            serial = number * 1_000_000
            while not stop.is_set():
                began = time.monotonic()
                with connection.transaction():
                    connection.execute(insert, (serial,))
                    connection.execute(insert, (serial + 1,))
                delays.append(time.monotonic() - began)
                serial += 2

    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(write, number) for number in range(1, count + 1)]
        try:
            yield delays
        finally:
            stop.set()
            for writer in running:
                writer.result()


@pytest.mark.parametrize("partitioned", [False, True])
def test_under_writers(database: Database, partitioned: bool) -> None:
    """While writers insert all the time none fails or waits, and no row that commits after the column is lost."""
    if partitioned:
        database.execute("CREATE TABLE t (id bigint PRIMARY KEY) PARTITION BY HASH (id)")
        for number in range(2):
            database.execute(
                f"CREATE TABLE t{number} PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER {number})"
            )
    else:
        database.execute("CREATE TABLE t (id bigint PRIMARY KEY)")
    with _writers(database, T) as delays:
        while len(delays) < 100:
            time.sleep(0.01)
        install(database.dsn, T, routes=["r"])
        written = len(delays)
        while len(delays) < written + 100:
            time.sleep(0.01)
    assert max(delays) < 5
    rows, eye = _route(database, T, "r")
    with_txid = [row for (row,) in database.execute("SELECT id FROM t WHERE txid IS NOT NULL ORDER BY id")]
    assert sorted(row["id"] for row in rows if row) == with_txid
    assert len(with_txid) >= 200
    assert eye.watched.indexed
    # Rows without a txid are older than the column: all committed before the oldest that has one began.
    assert database.execute(
        "SELECT count(*) FROM t WHERE txid IS NULL AND xmin::text::bigint >= "
        "(SELECT min(txid::text::bigint) FROM t)"
    ) == [(0,)]


NAMES = [
    TableName("public", "Live Metrics"),
    TableName("My schema", 'say "hi"; DROP TABLE t; --'),
    TableName("Zürich", "Größe"),
    TableName("a.b", "c.d"),
    TableName("{x}", "%s %(y)s {z}"),
    TableName("back\\slash", "it's"),
    TableName("new", "two\n-- lines\nof it"),
    TableName("s" * 63, "t" * 63),
    TableName("public", "ä" * 31 + "x"),
]


@pytest.mark.parametrize("table", NAMES, ids=str)
def test_any_name(database: Database, table: TableName) -> None:
    """A table is watched whatever the names of schema, table, key columns and route."""
    key = [table.name, "K " + table.schema[:50]]
    if table.schema != "public":
        database.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(table.schema)))
    database.execute(
        sql.SQL("CREATE TABLE {t} ({a} int, {b} text, v int, PRIMARY KEY ({b}, {a}))").format(
            t=_identifier(table), a=sql.Identifier(key[0]), b=sql.Identifier(key[1])
        )
    )
    install(database.dsn, table, routes=[str(table)])
    database.execute(sql.SQL("INSERT INTO {} VALUES (1, 'x', 7)").format(_identifier(table)))
    rows, eye = _route(database, table, str(table))
    assert [(row[key[0]], row[key[1]], row["v"]) for row in rows if row] == [(1, "x", 7)]
    assert eye.watched.key.columns == (key[1], key[0])
    assert (eye.watched.rings, eye.watched.indexed) == (True, True)
    before = _state(database)
    install(database.dsn, table, routes=[str(table)])
    assert _state(database) == before
    uninstall(database.dsn, table, routes=[str(table)])
    assert database.execute("SELECT to_regnamespace('trio_bridge')") == [(None,)]


PARTITIONED = """
    CREATE TABLE t (id bigint, at date, v int, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
    CREATE TABLE t_old PARTITION OF t FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
    CREATE TABLE t_new PARTITION OF t FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY HASH (id);
    CREATE SCHEMA elsewhere;
    CREATE TABLE elsewhere.t_new_0 PARTITION OF t_new FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE t_new_1 PARTITION OF t_new FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE t_rest PARTITION OF t DEFAULT;
    CREATE TABLE t_empty PARTITION OF t FOR VALUES FROM ('2030-01-01') TO ('2031-01-01') PARTITION BY HASH (id);
    INSERT INTO t SELECT g, '2020-06-01'::date + g, g FROM generate_series(1, 900) g;
"""


def test_partitioned(database: Database) -> None:
    """A table partitioned on two levels: every partition's index is under its parent's, and all are valid."""
    database.execute(PARTITIONED)
    install(database.dsn, T, routes=["r"])
    database.execute("INSERT INTO t VALUES (1, '2020-01-01', 1), (2, '2021-02-02', 2), (3, '1999-01-01', 3)")
    database.execute("INSERT INTO elsewhere.t_new_0 SELECT * FROM t WHERE false")
    database.execute("INSERT INTO t_old (id, at, v) VALUES (4, '2020-01-02', 4)")
    database.execute("CREATE TABLE t_later PARTITION OF t FOR VALUES FROM ('2040-01-01') TO ('2041-01-01')")
    database.execute("INSERT INTO t VALUES (5, '2040-02-02', 5)")
    rows, eye = _route(database, T, "r")
    assert [row["v"] for row in rows if row] == [3, 1, 2, 4, 5]
    assert (eye.watched.rings, eye.watched.indexed) == (True, True)
    # One index a partition, none invalid, and t's own is above all of them.
    tree = database.execute("""
        SELECT count(*), bool_and(i.indisvalid), count(DISTINCT i.indrelid)
        FROM pg_partition_tree((SELECT indexrelid FROM pg_index JOIN pg_class c ON c.oid = indexrelid
                                WHERE indrelid = 't'::regclass AND NOT indisprimary)) p
        JOIN pg_index i ON i.indexrelid = p.relid
    """)
    assert tree == [(8, True, 8)]
    before = _state(database)
    assert install(database.dsn, T, routes=["r"]) == ["schema trio_bridge", "position of public.t"]
    assert _state(database) == before


def test_interrupted_index_is_made_anew(database: Database) -> None:
    """What an interrupted CREATE INDEX CONCURRENTLY left behind is dropped, and a valid index takes its name."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, txid xid8 DEFAULT pg_current_xact_id())")
    database.execute("INSERT INTO t SELECT generate_series(1, 10)")
    with database.connect(autocommit=False) as writer, database.connect() as builder:
        # A statement timeout while it waits for the writer is the interruption.
        writer.execute("INSERT INTO t VALUES (11)")
        builder.execute("SET statement_timeout = 100")
        with pytest.raises(psycopg.errors.QueryCanceled):
            builder.execute("CREATE INDEX CONCURRENTLY mine ON t (txid, id) WHERE txid IS NOT NULL")
    assert database.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'mine'::regclass") == [
        (False,)
    ]
    with opened(database.dsn) as session:
        assert not read_table(session, T, timeout_s=ANSWER_S).indexed
    assert "drop the unfinished index public.mine" in install(database.dsn, T, routes=["r"])
    assert database.execute(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index "
        "WHERE indrelid = 't'::regclass AND NOT indisprimary"
    ) == [("t_txid_idx", True)]


def test_own_index_is_used(database: Database) -> None:
    """An index that covers what ours would is taken as it is, under any name."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY, txid xid8 DEFAULT pg_current_xact_id())")
    database.execute("CREATE INDEX mine ON t (txid, id) WHERE txid IS NOT NULL")
    assert not [title for title in install(database.dsn, T, routes=["r"]) if "index" in title]


def test_names_that_agree_when_cut(database: Database) -> None:
    """Two tables whose cut names agree, and a table whose index's name is taken, all get an index of their own."""
    tables = [TableName("public", "ä" * 30 + ending) for ending in ("a", "b")]
    for table in (*tables, T):
        database.execute(sql.SQL("CREATE TABLE {} (id int PRIMARY KEY)").format(_identifier(table)))
    database.execute("CREATE VIEW t_txid_idx AS SELECT 1 AS id")
    for table in (*tables, T):
        install(database.dsn, table, routes=[str(table)])
        with opened(database.dsn) as session:
            assert read_table(session, table, timeout_s=ANSWER_S).indexed


def test_included_columns_are_no_key(database: Database) -> None:
    """Columns that the primary key's index merely includes stay out of the key: they may be null or not sortable."""
    database.execute("CREATE TABLE t (v json, b int, a int, PRIMARY KEY (a, b) INCLUDE (v))")
    install(database.dsn, T, routes=["r"])
    database.execute("INSERT INTO t VALUES (NULL, 1, 2)")
    rows, eye = _route(database, T, "r")
    assert eye.watched.key.columns == ("a", "b")
    assert len(rows) == 1


REFUSED = {
    "there is no table public.t": "SELECT",
    "public.t is no table": "CREATE VIEW t AS SELECT 1 AS id",
    "public.t is no table: only tables": "CREATE MATERIALIZED VIEW t AS SELECT 1 AS id",
    "is no table: only": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; "
    "CREATE FOREIGN TABLE t (id int) SERVER s",
    "public.t has children by inheritance": "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u () INHERITS (t)",
    "public.t is a partition, .*: install the parent table first": "CREATE TABLE p (id int PRIMARY KEY) "
    "PARTITION BY LIST (id); CREATE TABLE t PARTITION OF p FOR VALUES IN (1)",
    "public.t has no primary key": "CREATE TABLE t (id int)",
    "txid of public.t is of type bigint": "CREATE TABLE t (id int PRIMARY KEY, txid bigint)",
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_refused(database: Database, sentence: str) -> None:
    """What cannot be watched is refused in a sentence, before anything is changed."""
    database.execute(REFUSED[sentence])
    before = _state(database)
    for act in (install, sql_text):
        with pytest.raises(ConfigError, match=sentence):
            act(database.dsn, T, routes=["r"])
    assert _state(database) == before


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role without any right; roles belong to the whole server."""
    name = f"bridge {database.name}"
    quoted = sql.Identifier(name)
    database.execute(sql.SQL("CREATE ROLE {} LOGIN").format(quoted))
    yield name
    with database.connect() as connection:
        connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(quoted))
        connection.execute(sql.SQL("DROP ROLE {}").format(quoted))


def test_stranger_may_not_install(database: Database, role: str) -> None:
    """A role that owns nothing is told whose work it is; a missing role is named before anything is changed."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    before = _state(database)
    with pytest.raises(ConfigError, match=r"permission denied for database.*owner of the table"):
        install(database.server.dsn(database.name, user=role), T, routes=["r"])
    with pytest.raises(ConfigError, match="there is no role who: run CREATE ROLE"):
        install(database.dsn, T, routes=["r"], role="who")
    assert _state(database) == before
    install(database.dsn, T, routes=["r"])
    with pytest.raises(ConfigError, match="owner of the table"):
        install(database.server.dsn(database.name, user=role), T, routes=["r"])


def test_role_gets_what_the_bridge_needs_and_no_more(database: Database, role: str) -> None:
    """With the rights of role.sql a delta and a checkpoint work, and nothing else does."""
    database.execute(
        "CREATE SCHEMA data; CREATE TABLE data.t (id int PRIMARY KEY, v int); CREATE TABLE other (a int)"
    )
    table = TableName("data", "t")
    install(database.dsn, table, routes=["r"])
    dsn = database.server.dsn(database.name, user=role)
    with opened(dsn) as session:
        with pytest.raises(ConfigError, match="no schema trio_bridge, or this role may not use it"):
            read_cluster(session, timeout_s=ANSWER_S)
        with pytest.raises(ConfigError, match=r"may not read data.t.*--role"):
            read_table(session, table, timeout_s=ANSWER_S)
    install(database.dsn, table, routes=["r"], role=role)
    database.execute("INSERT INTO data.t VALUES (1, 1)")
    with opened(dsn) as session:
        eye = Eye(session, table)
        checkpoint, eye.position = Checkpoint.take_over(
            session, "r", read_cluster(session, timeout_s=ANSWER_S), timeout_s=ANSWER_S
        )
        assert eye.values("id") == [1]
        checkpoint.write(session, eye.position, timeout_s=ANSWER_S)
        for forbidden in (
            "INSERT INTO data.t VALUES (2)",
            "UPDATE data.t SET v = 2",
            "DELETE FROM data.t",
            "TRUNCATE data.t",
            "SELECT * FROM public.other",
            "INSERT INTO trio_bridge.checkpoint (name, snapshot, system_identifier) VALUES ('x', '3:3:', 1)",
            "DELETE FROM trio_bridge.checkpoint",
            "UPDATE trio_bridge.version SET version = 2",
            "CREATE TABLE public.x (a int)",
            "CREATE TABLE data.x (a int)",
            "CREATE TABLE trio_bridge.x (a int)",
            "CREATE SCHEMA x",
        ):
            with pytest.raises(StatementRefused) as refused:
                session.query(forbidden, timeout_s=ANSWER_S)
            assert refused.value.sqlstate == "42501", forbidden
    granted = database.execute(
        """
        SELECT c.oid::regclass::text, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
        WHERE a.grantee = %(role)s::regrole
        UNION SELECT n.nspname, a.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) a
        WHERE a.grantee = %(role)s::regrole ORDER BY 1, 2
        """.replace("%(role)s", "'\"" + role + "\"'")
    )
    assert granted == [
        ("data", "USAGE"),
        ("data.t", "SELECT"),
        ("trio_bridge", "USAGE"),
        ("trio_bridge.checkpoint", "SELECT"),
        ("trio_bridge.checkpoint", "UPDATE"),
        ("trio_bridge.version", "SELECT"),
    ]


def test_role_without_right_to_the_checkpoint(database: Database, role: str) -> None:
    """A role that may read but not write the checkpoint learns so at the start, not at the first acknowledgement."""
    install(database.dsn, DEMO_TABLE, routes=["demo"], role=role)
    database.execute(sql.SQL("REVOKE UPDATE ON trio_bridge.checkpoint FROM {}").format(sql.Identifier(role)))
    dsn = database.server.dsn(database.name, user=role)
    with opened(dsn) as session, pytest.raises(ConfigError, match=r"may not write trio_bridge.checkpoint"):
        read_cluster(session, timeout_s=ANSWER_S)


@pytest.mark.parametrize(
    "setup", [PARTITIONED, "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE INDEX ON t (v)"]
)
def test_uninstall_leaves_the_table_as_it_was(database: Database, setup: str) -> None:
    """Columns, indexes, triggers and functions are as before, and the rows are all there."""
    database.execute(setup)
    database.execute("CREATE TABLE counted AS SELECT count(*) FROM t")
    before = _state(database)
    install(database.dsn, T, routes=["r"])
    assert _state(database) != before
    uninstall(database.dsn, T, routes=["r"])
    assert _state(database) == before
    assert database.execute("SELECT count(*) FROM t") == database.execute("TABLE counted")
    uninstall(database.dsn, T, routes=["r"])
    assert _state(database) == before


def test_uninstall_leaves_others_alone(database: Database) -> None:
    """Another table and another route's checkpoint stay; the schema goes with the last of them."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    install(database.dsn, T, routes=["one", "two"])
    install(database.dsn, DEMO_TABLE, routes=["demo"])
    uninstall(database.dsn, T, routes=["one"])
    assert _checkpoints(database) == ["demo", "two"]
    with opened(database.dsn) as session:
        assert read_table(session, DEMO_TABLE, timeout_s=ANSWER_S).rings
    uninstall(database.dsn, DEMO_TABLE, routes=["demo"])
    assert _checkpoints(database) == ["two"]
    uninstall(database.dsn, T, routes=["two"])
    assert database.execute("SELECT to_regnamespace('trio_bridge')") == [(None,)]


def test_uninstall_takes_no_column_of_somebody_else(database: Database) -> None:
    """A column txid that install did not make stays, with its values."""
    database.execute("CREATE TABLE t (id int, txid bigint)")
    database.execute("INSERT INTO t VALUES (1, 42)")
    uninstall(database.dsn, T, routes=["r"])
    assert database.execute("SELECT * FROM t") == [(1, 42)]


def test_uninstall_names_what_depends_on_the_column(database: Database) -> None:
    """A view over txid keeps the column; the sentence names the view."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    install(database.dsn, T, routes=["r"])
    database.execute("CREATE VIEW v AS SELECT txid FROM t")
    with pytest.raises(ConfigError, match=r"other objects depend on it: view .*v"):
        uninstall(database.dsn, T, routes=["r"])
    database.execute("DROP VIEW v")


@pytest.mark.parametrize("setup", ["CREATE TABLE t (id int PRIMARY KEY)", PARTITIONED])
def test_printed_script_does_the_same(database: Database, role: str, setup: str) -> None:
    """psql with the printed script leaves the same catalogue as install; printing changes nothing."""
    database.execute(setup)
    before = _state(database)
    script = sql_text(database.dsn, T, routes=["it's", "b\\"], role=role)
    assert _state(database) == before
    for _ in range(2):
        _psql(database, script)
    printed = _state(database), _checkpoints(database)
    uninstall(database.dsn, T, routes=["it's", "b\\"])
    install(database.dsn, T, routes=["it's", "b\\"], role=role)
    assert (_state(database), _checkpoints(database)) == printed


def _psql(database: Database, script: str) -> None:
    command = database.server.binaries.command(
        "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database.dsn
    )
    done = subprocess.run(command, input=script, text=True, capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr


def test_demo_script_makes_its_table(database: Database) -> None:
    """The script for the demo's table works on an empty database."""
    _psql(database, sql_text(database.dsn, DEMO_TABLE, routes=["demo"]))
    database.execute("INSERT INTO live_metrics (value) VALUES (1)")
    assert len(_route(database, DEMO_TABLE, "demo")[0]) == 1


def test_many_at_the_same_time(database: Database) -> None:
    """Installations at the same time take turns: none fails, and every table is ready."""
    tables = [TableName("public", f"t{number}") for number in range(3)]
    for table in tables:
        database.execute(sql.SQL("CREATE TABLE {} (id int PRIMARY KEY)").format(_identifier(table)))
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(install, database.dsn, table, routes=[str(table)]) for table in tables * 2]:
            done.result()
    assert _checkpoints(database) == [str(table) for table in tables]
    with opened(database.dsn) as session:
        for table in tables:
            watched = read_table(session, table, timeout_s=ANSWER_S)
            assert (watched.rings, watched.indexed) == (True, True)


def test_turn_that_never_comes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that hangs does not make the next one hang with it."""
    monkeypatch.setattr(installation, "TURN_TIMEOUT_S", 0.1)
    with database.connect() as other:
        other.execute("SELECT pg_advisory_lock(%s, 0)", (INSTALL_CLASS,))
        with pytest.raises(SourceError, match="another installation is running"):
            install(database.dsn, DEMO_TABLE, routes=["demo"])


def test_table_in_use_for_too_long(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that holds the table makes install give up after its lock timeout, with nothing half done."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")

    def hasty(*arguments: Any, **options: Any) -> Any:
        return [
            Step(step.title, step.text.replace("'5s'", "'100ms'"), step.transaction)
            for step in plan_install(*arguments, **options)
        ]

    monkeypatch.setattr(installation, "plan_install", hasty)
    with database.connect(autocommit=False) as writer:
        writer.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(SourceError, match="a running transaction holds the table"):
            install(database.dsn, T, routes=["r"])
    assert _checkpoints(database) == []
    install(database.dsn, T, routes=["r"])
    assert _route(database, T, "r")[0] == []


def test_hostile_defaults(database: Database) -> None:
    """Settings of the database (serializable, read only, short timeouts) do not get into the way."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    for setting in (
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
        "statement_timeout = 1",
        "lock_timeout = 1",
    ):
        with database.server.connect() as connection:
            connection.execute(f"ALTER DATABASE {database.name} SET {setting}")
    install(database.dsn, T, routes=["r"])
    with opened(database.dsn) as session:
        assert read_table(session, T, timeout_s=ANSWER_S).indexed


def test_old_server(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is too old is named, and what it must be."""
    monkeypatch.setattr(installation, "MIN_SERVER_VERSION", 990_000)
    with pytest.raises(ConfigError, match=r"this is PostgreSQL \d+: it must be"):
        install(database.dsn, DEMO_TABLE, routes=["demo"])


def test_unreachable() -> None:
    """No server: one line that says so."""
    with pytest.raises(SourceError, match="cannot connect to postgres"):
        install("host=127.0.0.1 port=1 dbname=x user=y", DEMO_TABLE, routes=["demo"])
