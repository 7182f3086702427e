"""A bell carries nothing: collapsed, forged or flooding, it can make a delta and never a row."""

from __future__ import annotations

import json

import psycopg
import pytest
from psycopg import sql

from tests.chaos.bridges import running_bridge, settings_for
from tests.faults.readings import TABLE, readings, wait_notify
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.config.settings import RouteSettings
from trio_bridge.live.server import LiveServer


@pytest.mark.fault(37)
async def test_bells_that_collapse_lose_no_row(database: Database) -> None:
    """Five inserts in one transaction ring once and bring five rows; five equal payloads on a channel route are one."""
    async with readings(database.dsn) as world, world.bridge() as route:
        await wait_notify(route)
        with database.connect() as listener:
            listener.execute("LISTEN influx_feed")
            with database.connect() as writer, writer.transaction():
                for number in range(5):
                    writer.execute(f"INSERT INTO {TABLE} (value) VALUES (%s)", (number,))
            await world.wait_all()
            assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
            assert not list(listener.notifies(timeout=0.1))
        assert world.sink.rows == 5


@pytest.mark.fault(37)
async def test_equal_payloads_of_one_transaction_are_one_row(database: Database) -> None:
    """On a channel route Postgres makes one of them, as the handbook says; across transactions each counts."""
    async with LiveServer() as live:
        route = RouteSettings(name="feed", channel="feed")
        async with running_bridge(settings_for(database.dsn, live, route)) as service:
            await live.wait_connections(1)
            with database.connect() as writer:
                payload = json.dumps({"timestamp": 1_767_225_602, "value": 2})
                with writer.transaction():
                    for _ in range(5):
                        writer.execute("SELECT pg_notify('feed', %s)", (payload,))
                for _ in range(2):
                    writer.execute("SELECT pg_notify('feed', %s)", (payload,))
            await wait_until(lambda: service.routes[0].ledger.statistics().acknowledged == 3)


@pytest.mark.fault(46)
async def test_forged_notifications_cost_a_delta_and_nothing_else(database: Database) -> None:
    """Whatever a role without any right notifies (rows, positions, garbage, our own bell), only real rows arrive."""
    role = f"forger_{database.name}"
    database.execute(f"CREATE ROLE {role} LOGIN")
    try:
        async with readings(database.dsn) as world, world.bridge() as route:
            await wait_notify(route)
            before = world.checkpoint()
            ((oid,),) = database.execute(f"SELECT '{TABLE}'::regclass::oid::text")
            forged = [
                "*",
                "",
                oid,
                '{"id": 99, "timestamp": "2026-01-01T00:00:00Z", "value": 1, "note": "forged"}',
                "900000000:900000000:",
                "\u2028'; DROP TABLE readings; --",
                "x" * 7_999,
            ]
            with psycopg.connect(database.server.dsn(database.name, user=role), autocommit=True) as forger:
                for payload in forged:
                    for channel in ("influx_feed", "trio_bridge", "INFLUX_FEED"):
                        forger.execute(
                            sql.SQL("NOTIFY {}, {}").format(sql.Identifier(channel), sql.Literal(payload))
                        )
            # As any bell, they make a delta; nothing of what they say is believed.
            asked = route.status.statements
            await wait_until(lambda: route.status.statements > asked)
            assert world.checkpoint() == before
            await world.wait_arrived(*world.insert(3))
            statistics = route.ledger.statistics()
            assert (statistics.seen, statistics.rejected, statistics.restarts) == (3, {}, 0)
    finally:
        database.execute(f"DROP ROLE {role}")
