"""The bridge's role may read its table and keep its checkpoint: the catalogues say so, and the service runs with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.chaos.__main__ import SCENARIOS
from tests.chaos.run import run_chaos
from tests.faults.readings import TABLE as READINGS
from tests.faults.readings import readings, wait_notify
from tests.pg import Database
from tests.security.privileges import as_table, rights_of
from trio_bridge.config.names import parse_table
from trio_bridge.errors import ConfigError
from trio_bridge.postgres.install import install, sql_text

TABLE = "public.live_metrics"
PAGE = Path(__file__).parents[2] / "docs" / "security.md"


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role that may log in and nothing else."""
    name = f"bridge_{database.name}"
    database.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    yield name
    with database.connect() as connection:
        connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_all_rights_of_the_role_are_in_the_handbook(database: Database, role: str) -> None:
    """What install gives it, by the catalogues: not a line more than docs/security.md prints."""
    with database.connect() as connection:
        assert rights_of(connection, role) == []
        install(database.dsn, parse_table(TABLE), routes=[TABLE], role=role)
        table = as_table(rights_of(connection, role))
    (printed,) = re.findall(
        r"^\| on \| the bridge may \|\n(?:\|.*\n)+", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert printed.strip() == table


def test_a_right_more_is_noticed(database: Database, role: str) -> None:
    """The listing sees a grant on a column, a function or the database, a membership, an object, an attribute."""
    grants = [
        ("CREATE TABLE t (a int); GRANT INSERT (a) ON t TO {}", ("column t.a", "INSERT")),
        ("GRANT SELECT ON t TO {} WITH GRANT OPTION", ("table t", "SELECT and grant it")),
        ("GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {}", ("function pg_read_file(text)", "EXECUTE")),
        ("GRANT CREATE ON DATABASE " + database.name + " TO {}", (f"database {database.name}", "CREATE")),
        ("GRANT pg_read_all_data TO {}", ("role pg_read_all_data", "member")),
        ("ALTER ROLE {} BYPASSRLS", ("the role itself", "BYPASSRLS")),
        ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {}", ("default for new objects r", "SELECT")),
    ]
    with database.connect() as connection:
        for statement, right in grants:
            before = rights_of(connection, role)
            connection.execute(sql.SQL(statement).format(sql.Identifier(role)))
            (new,) = set(rights_of(connection, role)) - set(before)
            assert new == right
        connection.execute(sql.SQL("CREATE SCHEMA s AUTHORIZATION {}").format(sql.Identifier(role)))
        assert any(right.privilege == "owner" for right in rights_of(connection, role))


@pytest.mark.deadline(60)
async def test_the_service_needs_no_more(database: Database, role: str) -> None:
    """With exactly these rights it leads, rings, reads, checkpoints and stops cleanly: no row lost, none twice."""
    via = database.server.dsn(database.name, user=role)
    async with readings(database.dsn, role=role) as world:
        async with world.bridge(dsn=via) as route:
            await wait_notify(route)
            await world.wait_arrived(*world.insert(200))
            route.flip_mode()
            await world.wait_arrived(*world.insert(200))
        unsaved = f"FROM {READINGS} r, trio_bridge.checkpoint c WHERE NOT pg_visible_in_snapshot(r.txid, c.snapshot)"
        assert world.execute(f"SELECT count(*) {unsaved}") == [(0,)]


@pytest.mark.deadline(120)
async def test_chaos_with_the_bridges_own_rights(database: Database, role: str, tmp_path: Path) -> None:
    """Writers that use all of SQL, the mode flipped at random: each row once, though the bridge may hardly anything."""
    plan = replace(SCENARIOS["flip"], seconds=3, bulk_rows=(2_000, 5_000))
    report = await run_chaos(plan, database.server, database.dsn, tmp_path, role=role)
    verdict = report.verdict
    assert (verdict.lost, verdict.phantoms, verdict.altered, verdict.duplicates) == (0, 0, 0, 0), str(report)
    assert verdict.committed > 200
    assert report.flips > 5


ATTEMPTS = [
    "INSERT INTO live_metrics (value) VALUES (1)", "UPDATE live_metrics SET value = 0", "DELETE FROM live_metrics",
    "TRUNCATE live_metrics", "DROP TRIGGER trio_bridge_bell ON live_metrics",
    "DO $$ BEGIN LOCK live_metrics IN SHARE MODE; END $$",
    "SELECT * FROM other", "DELETE FROM trio_bridge.checkpoint", "UPDATE trio_bridge.version SET version = 2",
    "INSERT INTO trio_bridge.checkpoint (name, snapshot, system_identifier) VALUES ('x', '3:3:', 1)",
    "CREATE FUNCTION trio_bridge.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE SCHEMA mine",
    "CREATE TABLE trio_bridge.t (a int)", "ALTER ROLE CURRENT_USER SUPERUSER", "COPY live_metrics TO PROGRAM 'id'",
    "SELECT pg_read_file('PG_VERSION')", "SELECT pg_reload_conf()",
]  # fmt: skip


def test_what_it_does_not_need_it_may_not(database: Database, role: str) -> None:
    """Someone with the bridge's password can write no row, read no other table and change no object."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE], role=role)
    database.execute("CREATE TABLE other (a int)")
    with psycopg.connect(database.server.dsn(database.name, user=role), autocommit=True) as thief:
        assert thief.execute("SELECT count(*) FROM live_metrics").fetchone() == (0,)
        for statement in ATTEMPTS:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                thief.execute(statement)


def test_the_trigger_runs_with_the_writers_rights(database: Database) -> None:
    """SECURITY INVOKER, no SET clause, one function in the schema; nothing there is PUBLIC's but to run it."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    found = database.execute(
        "SELECT proname, prosecdef, proconfig, proacl::text FROM pg_proc "
        "WHERE pronamespace = 'trio_bridge'::regnamespace"
    )
    assert found == [("notify_new_record", False, None, None)]
    assert (
        database.execute(
            "SELECT c.relname FROM pg_class c, aclexplode(c.relacl) a WHERE a.grantee = 0 "
            "AND c.relnamespace = 'trio_bridge'::regnamespace "
            "UNION ALL SELECT nspname FROM pg_namespace n, aclexplode(n.nspacl) a "
            "WHERE a.grantee = 0 AND nspname = 'trio_bridge'"
        )
        == []
    )


SQUATTED = {
    "the schema": "",
    "a table in it": "ALTER SCHEMA trio_bridge OWNER TO postgres",
    "its function": "ALTER SCHEMA trio_bridge OWNER TO postgres; ALTER TABLE trio_bridge.version OWNER TO postgres",
}


@pytest.mark.parametrize("owned", SQUATTED)
def test_a_schema_made_by_somebody_else_is_refused(database: Database, role: str, owned: str) -> None:
    """Who made trio_bridge first could have a trigger on it: with the installer's rights it is never called."""
    database.execute(f"GRANT CREATE ON DATABASE {database.name} TO {role}")
    trap = f"""
        CREATE SCHEMA trio_bridge AUTHORIZATION {role};
        GRANT USAGE ON SCHEMA trio_bridge TO PUBLIC;
        SET ROLE {role};
        CREATE TABLE trio_bridge.version (version int NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
        CREATE FUNCTION trio_bridge.notify_new_record() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
        CREATE TRIGGER trap BEFORE INSERT ON trio_bridge.version
            FOR EACH STATEMENT EXECUTE FUNCTION trio_bridge.notify_new_record();
        RESET ROLE;
    """
    database.execute(trap + SQUATTED[owned])
    with pytest.raises(ConfigError, match=f"belongs to role {role}.*must also own schema trio_bridge"):
        install(database.dsn, parse_table(TABLE), routes=[TABLE])
    script = sql_text(database.dsn, parse_table(TABLE), routes=[TABLE])
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="belongs to role"),
        database.connect() as owner,
    ):
        owner.execute(script.encode())
    assert database.execute("SELECT to_regclass('public.live_metrics')") == [(None,)]


def test_an_owner_may_install_what_a_superuser_began(database: Database, role: str) -> None:
    """A schema of their own, or one of a superuser's with their rights on it, is in nobody's way."""
    database.execute(
        f"GRANT CREATE ON DATABASE {database.name} TO {role}; GRANT CREATE ON SCHEMA public TO {role}"
    )
    database.execute(f"GRANT EXECUTE ON FUNCTION pg_control_system() TO {role}")
    owner = database.server.dsn(database.name, user=role)
    for _ in range(2):
        install(owner, parse_table(TABLE), routes=[TABLE])
