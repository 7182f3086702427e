"""What is read of server and table, and the sentence for each thing that would keep rows from flowing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import sql

from tests.pg import Database
from tests.postgres.eye import ANSWER_S, opened
from trio_bridge.config.names import TableName
from trio_bridge.decoder.mapping import Column
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.errors import ConfigError
from trio_bridge.postgres.catalogue import WatchedTable, gate_holder, read_cluster, read_table
from trio_bridge.postgres.install import DEMO_TABLE, install
from trio_bridge.postgres.queries import GATE_CLASS, statement

T = TableName("public", "t")
TXID = "txid xid8 DEFAULT pg_current_xact_id()"


def _read(database: Database, *, user: str = "postgres") -> WatchedTable:
    with opened(database.server.dsn(database.name, user=user)) as session:
        return read_table(session, T, timeout_s=ANSWER_S)


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role that may connect; roles belong to the whole server."""
    name = f"role_{database.name}"
    database.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    database.execute(f"DROP OWNED BY {name}")
    database.execute(f"DROP ROLE {name}")


def test_cluster(database: Database, pg: EmbeddedPostgres) -> None:
    """The system identifier and the timeline are the server's, and prepared transactions are off by default."""
    install(database.dsn, DEMO_TABLE, routes=["r"])
    with opened(database.dsn) as session:
        cluster = read_cluster(session, timeout_s=ANSWER_S)
    with pg.connect() as connection:
        assert connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone() == (
            cluster.system_identifier,
        )
    assert (cluster.prepares, cluster.timeline) == (False, 1)


@pytest.mark.fault(94, 121)
def test_not_installed(database: Database) -> None:
    """A database without our schema, or with one of another version, is refused with the command to run."""
    with opened(database.dsn) as session:
        with pytest.raises(ConfigError, match=r"has no schema trio_bridge, .* run `trio-bridge install`"):
            read_cluster(session, timeout_s=ANSWER_S)
        install(database.dsn, DEMO_TABLE, routes=["r"])
        database.execute("INSERT INTO trio_bridge.version (version) VALUES (2)")
        with pytest.raises(ConfigError, match="is of version 2, this program knows 1"):
            read_cluster(session, timeout_s=ANSWER_S)
        database.execute("DROP TABLE trio_bridge.checkpoint")
        database.execute("DELETE FROM trio_bridge.version WHERE version = 2")
        with pytest.raises(ConfigError, match=r"may not write trio_bridge\.checkpoint"):
            read_cluster(session, timeout_s=ANSWER_S)


REFUSED = {
    "there is no table public.t in this database: correct `table`, or run `trio-bridge install": "SELECT",
    "public.t is a view: only tables": "CREATE VIEW t AS SELECT 1 AS id",
    "public.t is a materialized view": "CREATE MATERIALIZED VIEW t AS SELECT 1 AS id",
    "public.t is a sequence": "CREATE SEQUENCE t",
    "public.t is no table": "CREATE TYPE t AS (a int)",
    "public.t is a foreign table": "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; "
    "CREATE FOREIGN TABLE t (id int) SERVER s",
    "public.t has children by inheritance": "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u () INHERITS (t)",
    "public.t has no primary key": f"CREATE TABLE t (id int, {TXID})",
    "public.t has no column txid: run `trio-bridge install --table 'public.t'`": "CREATE TABLE t (id int PRIMARY KEY)",
    "column txid of public.t is of type int8": "CREATE TABLE t (id int PRIMARY KEY, txid bigint)",
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_refused(database: Database, sentence: str) -> None:
    """Each thing that is no table to be watched has its sentence."""
    database.execute(REFUSED[sentence])
    with pytest.raises(ConfigError) as refused:
        _read(database)
    assert sentence in str(refused.value)


def test_rights(database: Database, role: str) -> None:
    """Without USAGE on the schema or SELECT on all of the table the sentence names both."""
    database.execute(f"CREATE TABLE t (id int PRIMARY KEY, {TXID})")
    needs = "may not read public.t, it needs SELECT on the table and USAGE on its schema"
    for change in (f"GRANT SELECT (id) ON t TO {role}", "REVOKE USAGE ON SCHEMA public FROM PUBLIC"):
        with pytest.raises(ConfigError, match=needs):
            _read(database, user=role)
        database.execute(change)
    database.execute(f"GRANT SELECT ON t TO {role}")
    with pytest.raises(ConfigError, match=needs):
        _read(database, user=role)
    database.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    assert _read(database, user=role).key.columns == ("id",)


@pytest.mark.fault(129)
def test_row_level_security(database: Database, role: str) -> None:
    """A policy is an error for whom it binds: not for a superuser, an owner or BYPASSRLS, but for a forced owner."""
    database.execute(f"CREATE TABLE t (id int PRIMARY KEY, {TXID}); ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    database.execute(f"GRANT SELECT ON t TO {role}")
    hidden = "row-level security of public.t would hide rows.*BYPASSRLS"
    assert _read(database).oid
    with pytest.raises(ConfigError, match=hidden):
        _read(database, user=role)
    database.execute(f"ALTER ROLE {role} BYPASSRLS")
    assert _read(database, user=role).oid
    database.execute(f"ALTER ROLE {role} NOBYPASSRLS; ALTER TABLE t OWNER TO {role}")
    assert _read(database, user=role).oid
    database.execute("ALTER TABLE t FORCE ROW LEVEL SECURITY")
    with pytest.raises(ConfigError, match=hidden):
        _read(database, user=role)
    database.execute("ALTER TABLE t DISABLE ROW LEVEL SECURITY")
    assert _read(database, user=role).oid


def test_columns(database: Database) -> None:
    """Domains are followed to the base type, dropped columns are gone, the rest is told as the catalogue has it."""
    database.execute(f"""
        CREATE SCHEMA "Other";
        CREATE TYPE "Other"."Mood" AS ENUM ('sad', 'happy');
        CREATE DOMAIN short AS char(3); CREATE DOMAIN shorter AS short CHECK (VALUE <> '');
        CREATE TABLE t (gone int, id bigint, mood "Other"."Mood", code shorter, bits bit(5), n numeric(10, 2),
                        name varchar(9) COLLATE "C", list int[], twice bigint GENERATED ALWAYS AS (id * 2) STORED,
                        at timestamptz(3), {TXID}, PRIMARY KEY (code, mood, bits, n, name, at, id));
        ALTER TABLE t DROP COLUMN gone;
    """)
    watched = _read(database)
    assert watched.shape.columns == (
        Column("id", "int8"),
        Column("mood", "Mood"),
        Column("code", "bpchar"),
        Column("bits", "bit"),
        Column("n", "numeric"),
        Column("name", "varchar"),
        Column("list", "_int4"),
        Column("twice", "int8"),
        Column("at", "timestamptz"),
        Column("txid", "xid8"),
    )
    assert (watched.shape.table, watched.shape.key) == ("t", watched.key.columns)
    assert dict(zip(watched.key.columns, watched.key.types, strict=True)) == {
        "code": "bpchar",
        "mood": '"Other"."Mood"',
        "bits": '"bit"',
        "n": "numeric",
        "name": "character varying",
        "at": "timestamp with time zone",
        "id": "bigint",
    }
    assert watched.key.columns[:3] == ("code", "mood", "bits")


def test_trigger(database: Database) -> None:
    """A trigger that is missing, disabled or for replicas only does not ring."""
    database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    install(database.dsn, T, routes=["r"])
    assert _read(database).rings
    for state, rings in {
        "DISABLE TRIGGER trio_bridge_bell": False,
        "ENABLE ALWAYS TRIGGER trio_bridge_bell": True,
        "ENABLE REPLICA TRIGGER trio_bridge_bell": False,
        "ENABLE TRIGGER trio_bridge_bell": True,
    }.items():
        database.execute(f"ALTER TABLE t {state}")
        assert _read(database).rings is rings, state
        assert _read(database).indexed
    database.execute("ALTER TABLE t DISABLE TRIGGER ALL")
    install(database.dsn, T, routes=["r"])
    assert _read(database).rings
    database.execute("DROP TRIGGER trio_bridge_bell ON t")
    assert not _read(database).rings


INDEXES = {
    "ON t (txid, a, b)": True,
    "ON t (txid, a, b) WHERE txid IS NOT NULL": True,
    "ON t (txid, a, b, c)": True,
    "ON t (txid)": False,
    "ON t (txid, a)": False,
    "ON t (txid, b, a)": False,
    "ON t (a, b, txid)": False,
    "ON t (txid, a, b) WHERE c > 0": False,
    "ON t USING hash (txid)": False,
    "ON t (txid, a) INCLUDE (b)": False,
}


def test_index(database: Database) -> None:
    """Only an index that gives the order of the delta, for every row that has a txid, counts."""
    database.execute(f"CREATE TABLE t (c int, b int, a int, {TXID}, PRIMARY KEY (a, b))")
    assert not _read(database).indexed
    for definition, serves in INDEXES.items():
        database.execute(f"CREATE INDEX i {definition}")
        assert _read(database).indexed is serves, definition
        database.execute("DROP INDEX i")


@pytest.mark.parametrize("oid", [77, 4_294_967_295])
def test_gate(database: Database, oid: int) -> None:
    """The gate is taken once, by any oid; who holds it is told by pid, and other gates are others'."""
    gate_class = sql.Literal(GATE_CLASS)
    take = statement("queries/gate_take", gate_class=gate_class)
    holder = statement("queries/gate_holder", gate_class=gate_class)
    with opened(database.dsn) as session, opened(database.dsn) as other:
        assert gate_holder(session, oid, holder, timeout_s=ANSWER_S) == "none"
        ((fence,),) = session.query(take, (str(oid),), timeout_s=ANSWER_S)
        ((later,),) = session.query("SELECT pg_current_xact_id()", timeout_s=ANSWER_S)
        assert int(fence or 0) < int(later or 0)
        assert other.query(take, (str(oid),), timeout_s=ANSWER_S) == [(None,)]
        assert gate_holder(other, oid, holder, timeout_s=ANSWER_S) == str(session.backend_pid)
        assert gate_holder(other, oid - 1, holder, timeout_s=ANSWER_S) == "none"
