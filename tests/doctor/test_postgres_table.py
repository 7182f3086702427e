"""Installation, table, trigger, checkpoint, leader and gate: what the operator reads when one of them is not right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import structs

from tests.chaos.bridges import running_bridge, settings_for
from tests.doctor.world import ROUTE, TABLE, broken, examined, installed, postgres, warns
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.config.settings import RouteSettings
from trio_bridge.doctor.hops import Finding
from trio_bridge.live import LiveServer
from trio_bridge.postgres.queries import GATE_CLASS


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role that may connect, and no more."""
    name = f"bridge_{database.name}"
    database.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    database.execute(f"DROP OWNED BY {name}")
    database.execute(f"DROP ROLE {name}")


async def look(
    database: Database, *, user: str = "postgres", route: RouteSettings = ROUTE
) -> dict[str, Finding]:
    dsn = database.server.dsn(database.name, user=user)
    return await examined(postgres=postgres(dsn), routes=(route,), config=" --config b.toml")


async def after(database: Database, *statements: str) -> dict[str, Finding]:
    """Installed, then spoiled by `statements`."""
    installed(database.dsn)
    for statement in statements:
        database.execute(statement)
    return await look(database)


async def test_not_installed(database: Database) -> None:
    """The remedy is the whole command: same configuration, same database, an owner, the bridge's role."""
    found = (await look(database))["installation"]
    broken(found, 4, "this database has no schema trio_bridge")
    assert found.remedy == (
        "trio-bridge install --config b.toml --dsn "
        f"'host=127.0.0.1 port={database.server.port} dbname={database.name} user=OWNER' "
        "--table public.live_metrics --role postgres"
    )


async def test_another_version_installed(database: Database) -> None:
    """A schema of a newer program is named."""
    found = await after(database, "INSERT INTO trio_bridge.version (version) VALUES (99)")
    broken(found["installation"], 4, "of version 99, this program knows 1")


async def test_no_right_to_the_schema(database: Database, role: str) -> None:
    """A role without rights is told from a missing installation as far as it can know."""
    installed(database.dsn)
    found = (await look(database, user=role))["installation"]
    broken(found, 4, "or this role may not use it")
    assert found.remedy.endswith(f"--role {role}")


async def test_no_right_to_the_checkpoint(database: Database, role: str) -> None:
    """A checkpoint that may be read only."""
    installed(database.dsn, role=role)
    database.execute(f"REVOKE UPDATE ON trio_bridge.checkpoint FROM {role}")
    broken((await look(database, user=role))["installation"], 4, "may not write trio_bridge.checkpoint")


async def test_no_right_to_the_table(database: Database, role: str) -> None:
    """A table that this role may not read."""
    installed(database.dsn, role=role)
    database.execute(f"REVOKE SELECT ON {TABLE} FROM {role}")
    broken((await look(database, user=role))[f"{TABLE}: table"], 4, "this role may not read", "SELECT")


async def test_row_level_security(database: Database, role: str) -> None:
    """Rows that a policy would hide."""
    installed(database.dsn, role=role)
    database.execute(f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY")
    broken((await look(database, user=role))[f"{TABLE}: table"], 4, "row-level security", "BYPASSRLS")


async def test_all_a_plain_role_needs(database: Database, role: str) -> None:
    """What install grants is enough for every hop of the database."""
    installed(database.dsn, role=role)
    found = await look(database, user=role)
    assert {hop for hop, finding in found.items() if finding.status in ("failed", "skipped")} == {
        hop for hop in found if "grafana" in hop or "push" in hop or "read back" in hop
    } - {"grafana name", "grafana credentials"}


async def test_a_missing_table(database: Database) -> None:
    """A table of another name."""
    found = await after(database, f"ALTER TABLE {TABLE} RENAME TO elsewhere")
    broken(found[f"{TABLE}: table"], 4, f"there is no table {TABLE} in this database")
    assert found[f"{TABLE}: index"].sentence == f"not tried: {TABLE}: table comes first"


async def test_a_view(database: Database) -> None:
    """A view cannot be watched."""
    found = await after(
        database, f"ALTER TABLE {TABLE} RENAME TO t", f"CREATE VIEW {TABLE} AS SELECT * FROM t"
    )
    broken(found[f"{TABLE}: table"], 4, "is a view: only tables can be watched")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("ALTER TABLE {} DROP CONSTRAINT live_metrics_pkey", "has no primary key"),
        ("ALTER TABLE {} DROP COLUMN txid", "has no column txid"),
        ("ALTER TABLE {} ALTER COLUMN txid DROP DEFAULT, ALTER COLUMN txid TYPE text", "is of type text"),
    ],
)
async def test_a_table_that_cannot_be_read_page_by_page(
    database: Database, statement: str, words: str
) -> None:
    """Key and position column are what the delta stands on."""
    found = await after(database, statement.format(TABLE))
    broken(found[f"{TABLE}: table"], 4, words)


async def test_a_lost_default(database: Database) -> None:
    """Without its default new rows have no position: nothing would ever complain."""
    found = await after(database, f"ALTER TABLE {TABLE} ALTER COLUMN txid DROP DEFAULT")
    broken(found[f"{TABLE}: position column"], 4, "txid", "lost its default", "never delivered")


async def test_a_column_that_the_route_names_in_vain(database: Database) -> None:
    """The route's columns are held against the table's."""
    installed(database.dsn)
    found = await look(database, route=structs.replace(ROUTE, time="measured_at"))
    broken(found[f"{TABLE}: columns"], 4, "measured_at")


async def test_a_missing_index(database: Database) -> None:
    """Without the index rows come, at a price."""
    found = await after(database, "DROP INDEX live_metrics_txid_idx")
    warns(found[f"{TABLE}: index"], "no valid index on txid")


async def test_a_missing_trigger(database: Database) -> None:
    """Without the trigger the bridge polls."""
    found = await after(database, f"DROP TRIGGER trio_bridge_bell ON {TABLE}")
    warns(found[f"{TABLE}: trigger"], "has no trigger")


@pytest.mark.parametrize(
    ("how", "words"), [("DISABLE", "is switched off"), ("ENABLE REPLICA", "fires only on a replica")]
)
async def test_a_trigger_that_does_not_fire(database: Database, how: str, words: str) -> None:
    """A trigger that is there and does not fire; the remedy is the statement."""
    found = (await after(database, f"ALTER TABLE {TABLE} {how} TRIGGER trio_bridge_bell"))[
        f"{TABLE}: trigger"
    ]
    warns(found, words)
    assert found.remedy.endswith('ALTER TABLE "public"."live_metrics" ENABLE TRIGGER "trio_bridge_bell"')
    database.execute(found.remedy.partition("psql: ")[2])
    assert (await look(database))[f"{TABLE}: trigger"].status == "ok"


async def test_a_trigger_function_of_another_version(database: Database) -> None:
    """A function that is not ours is noticed, though its name is."""
    found = await after(
        database,
        "CREATE OR REPLACE FUNCTION trio_bridge.notify_new_record() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN NULL; END'",
    )
    warns(found[f"{TABLE}: trigger"], "is not the one of this version")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM trio_bridge.checkpoint", "has no checkpoint"),
        ("UPDATE trio_bridge.checkpoint SET system_identifier = 42", "comes from another cluster (42, here"),
        (
            "UPDATE trio_bridge.checkpoint SET snapshot = '9000000:9000000:'",
            "lies in the future (transaction 9000000",
        ),
        ("UPDATE trio_bridge.checkpoint SET format = 9", "is of format 9, this program knows 1"),
    ],
)
async def test_a_checkpoint_that_means_nothing(database: Database, statement: str, words: str) -> None:
    """Missing, foreign, from the future, of an unknown format."""
    found = await after(database, statement)
    broken(found[f"{TABLE}: checkpoint"], 4, words)


async def test_no_bridge(database: Database) -> None:
    """All is there, and nobody delivers."""
    found = (await after(database))[f"{TABLE}: leader"]
    warns(found, f"no bridge leads route {TABLE}")
    assert found.remedy == "trio-bridge run --config b.toml"


async def test_a_gate_held_by_a_stranger(database: Database) -> None:
    """Who holds the gate and is not the leader is named."""
    installed(database.dsn)
    with database.connect(application_name="stranger") as connection:
        connection.execute(f"SELECT pg_advisory_lock({GATE_CLASS}, '{TABLE}'::regclass::oid::int4)")
        found = (await look(database))[f"{TABLE}: gate"]
    warns(found, "the gate of public.live_metrics is held by pid", "(stranger, from 127.0.0.1)")
    assert "pg_terminate_backend" in found.remedy


async def test_a_gate_held_for_another_route(database: Database) -> None:
    """Another route's bridge on the same table may hold the gate: that is how it must be."""
    installed(database.dsn)
    with database.connect(application_name="trio_bridge other") as connection:
        connection.execute(f"SELECT pg_advisory_lock({GATE_CLASS}, '{TABLE}'::regclass::oid::int4)")
        found = (await look(database))[f"{TABLE}: gate"]
    assert found.status == "ok"
    assert "(trio_bridge other, from 127.0.0.1), for another route of this table" in found.sentence


async def test_a_bridge_that_runs_is_not_disturbed(database: Database) -> None:
    """The leader is named, holds the gate, and goes on to deliver after the doctor has been there."""
    installed(database.dsn)
    async with LiveServer() as live, running_bridge(settings_for(database.dsn, live, ROUTE)) as service:
        await wait_until(lambda: service.routes[0].status.mode.value == "notify")
        found = await look(database)
        connections = live.counters.connections
        database.execute(f"INSERT INTO {TABLE} (value) VALUES (1)")
        await wait_until(lambda: service.routes[0].ledger.statistics().acknowledged == 1)
        assert live.counters.connections == connections
    assert found[f"{TABLE}: leader"].status == "ok"
    assert "trio_bridge" in found[f"{TABLE}: leader"].sentence
    assert found[f"{TABLE}: gate"].sentence == "held by the leader, which is told of each row"


async def test_a_channel_route_has_no_table(database: Database) -> None:
    """Of a channel route only the leader is asked for."""
    route = RouteSettings(name="feed", channel="feed", fields=("value",))
    found = await look(database, route=route)
    assert "installation" not in found
    assert [hop for hop in found if hop.startswith("feed")] == ["feed: leader"]
