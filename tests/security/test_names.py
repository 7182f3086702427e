"""Names that could end a statement or a line: as table, column, channel, route and role, from install to row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import sql

from tests.chaos.bridges import running_bridge, settings_for
from tests.faults.rows import rows_of
from tests.pg import Database
from tests.security.privileges import rights_of
from tests.waiting import wait_until
from trio_bridge.config.names import TableName, parse_table
from trio_bridge.config.settings import RouteSettings
from trio_bridge.live.channels import is_subscribable
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install, uninstall

NAMES = {
    "statement": '"; DROP TABLE victim; --',
    "comment": "-- \n/* */",
    "quotes": "it''s \"\" $$ \\' E'\\n'",
    "dots": "a.b..c",
    "spaces": "  a b\t ",
    "unicode": "тáblé 表 🎈",
    "combining": "e\u0301\u202e\u200b",
    "63 bytes": "é" * 31 + "x",
    "keyword": "select",
    "format": "{0} %s %(x)s {table} $1 :x",
    "line protocol": "m,t=1 v=1 1\nm v=2",
    "path": "../../api/admin",
    "upper": "UPPER",
}


def created(table: TableName, column: str) -> sql.Composed:
    return sql.SQL(
        "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE {schema}.{table} "
        '({column} int PRIMARY KEY, "timestamp" timestamptz DEFAULT now(), v int)'
    ).format(
        schema=sql.Identifier(table.schema), table=sql.Identifier(table.name), column=sql.Identifier(column)
    )


@pytest.fixture
def roles(database: Database) -> Iterator[dict[str, str]]:
    """A role for each kind of name, of that name."""
    made = {kind: f"{name[:20]} {kind} {database.name}" for kind, name in NAMES.items()}
    with database.connect() as connection:
        for role in made.values():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        yield made
        for role in made.values():
            connection.execute(
                sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(sql.Identifier(role))
            )


@pytest.mark.deadline(60)
async def test_a_name_is_only_a_name(database: Database, roles: dict[str, str]) -> None:
    """Schema, table, key, route and role of every nasty name: installed, delivered with a role's rights, undone."""
    database.execute("CREATE TABLE victim (a int)")
    routes: list[RouteSettings] = []
    for kind, name in NAMES.items():
        table = TableName(name, name)
        assert parse_table(str(table)) == table
        database.execute(created(table, name))
        for role in (roles[kind], roles["statement"]):
            install(database.dsn, table, routes=[name], role=role)
        with database.connect() as connection:
            assert (
                kind == "statement"
                or len(rights_of(connection, sql.Identifier(roles[kind]).as_string())) == 6
            )
        routes.append(
            RouteSettings(name=name, table=str(table), measurement=f"m{len(routes)}", history_rows=2)
        )
    via = database.server.dsn(database.name, user=roles["statement"])
    async with LiveServer(keep_log=True) as live:
        async with running_bridge(settings_for(via, live, *routes)) as service:
            await live.wait_connections(len(routes))
            for name in NAMES.values():
                place = sql.Identifier(name, name)
                database.execute(sql.SQL("INSERT INTO {} VALUES (1, now(), 7), (2, now(), 8)").format(place))
            for route in service.routes:
                await wait_until(lambda books=route.ledger: books.statistics().acknowledged == 2)  # type: ignore[misc]
        assert live.counters.dropped == 0
        seen = {(p.measurement, p.fields["v"]) for delivery in live.deliveries for p in delivery.points}
        assert seen == {(str(route.measurement), value) for route in routes for value in (7, 8)}
    for name in NAMES.values():
        uninstall(database.dsn, TableName(name, name), routes=[name])
    assert database.execute("SELECT to_regclass('victim'), to_regnamespace('trio_bridge')") == [
        ("victim", None)
    ]


@pytest.mark.parametrize("kind", ["statement", "unicode"])
async def test_a_channel_is_only_a_name(database: Database, kind: str) -> None:
    """LISTEN takes the channel as it is, its measurement can be subscribed to, and its payloads arrive."""
    database.execute("CREATE TABLE victim (a int)")
    async with rows_of(database, "", table=None, channel=NAMES[kind]) as rows:
        payload = '{"timestamp": "2026-01-01T00:00:00Z", "value": 5}'
        rows.execute("SELECT pg_notify(%s, %s)", NAMES[kind], payload)
        await rows.settled(1)
        assert [point.fields for point in rows.points] == [{"value": 5.0}]
        assert all(is_subscribable(channel["channel"]) for channel in rows.live.channels.listed())
    assert database.execute("SELECT to_regclass('victim')") == [("victim",)]
