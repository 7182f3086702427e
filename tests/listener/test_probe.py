"""What does not show in the rows: a LISTEN that is gone, a transaction that stays open, how far delivery is behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
from structlog.testing import capture_logs

from tests.pg import Database
from tests.waiting import wait_until
from tests.web.serving import CHANNEL_ROUTE, TABLE, serving
from trio_bridge.listener import probe
from trio_bridge.listener.modes import Mode
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.session import Session


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROBE_INTERVAL_S", 0.2)


@pytest.fixture
def unlisten(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Whoever puts something into the list makes the next session that sends a statement forget its LISTEN."""
    orders: list[str] = []
    query = Session.query

    def query_after_order(self, statement, params=(), *, timeout_s):
        if orders:
            query(self, orders.pop(), timeout_s=timeout_s)
        return query(self, statement, params, timeout_s=timeout_s)

    monkeypatch.setattr(Session, "query", query_after_order)
    yield orders
    assert not orders


async def test_025_a_lost_listen_is_said_again(database: Database, unlisten: list[str]) -> None:
    """Rows go on arriving, the loss is noticed, counted and logged, and bells ring again."""
    async with LiveServer() as live, serving(database, live) as (service, client):
        (route,) = service.routes
        await live.wait_connections(1)
        await wait_until(lambda: route.status.mode is Mode.NOTIFY)
        with capture_logs() as logs:
            unlisten.append("UNLISTEN *")
            await wait_until(lambda: route.status.relistened == 1)
        assert [entry["channel"] for entry in logs if entry["event"] == "listening_again"] == ["influx_feed"]
        before = route.vitals.bell_to_push_s.statistics().count
        await wait_until(lambda: route.status.mode is Mode.NOTIFY)
        for number in range(1, 4):
            database.execute(f"INSERT INTO {TABLE} (value) VALUES (1)")
            await wait_until(lambda rows=number: route.ledger.statistics().acknowledged == rows)  # type: ignore[misc]
        assert route.vitals.bell_to_push_s.statistics().count == before + 3
        assert (
            'trio_bridge_relistens_total{route="public.live_metrics"} 1.0'
            in (await client.get("/metrics")).text
        )


async def test_a_channel_that_was_deaf_is_a_gap(database: Database, unlisten: list[str]) -> None:
    """Of a channel route what was notified meanwhile is lost: that is counted as a gap."""
    async with LiveServer() as live, serving(database, live, CHANNEL_ROUTE) as (service, _):
        (route,) = service.routes
        await live.wait_connections(1)
        unlisten.append("UNLISTEN *")
        await wait_until(lambda: route.ledger.statistics().gaps == 1)
        database.execute("""SELECT pg_notify('feed', '{"timestamp": 1767225602, "value": 2}')""")
        await wait_until(lambda: route.ledger.statistics().acknowledged == 1)


@pytest.mark.fault(33)
async def test_an_open_transaction_shows_and_goes(database: Database) -> None:
    """A transaction that has written and stays open is noticed and timed; when it commits it is forgotten."""
    async with LiveServer() as live, serving(database, live) as (service, _):
        (route,) = service.routes
        await live.wait_connections(1)
        with database.connect(autocommit=False) as writer:
            writer.execute(f"INSERT INTO {TABLE} (value) VALUES (1)")
            await wait_until(lambda: route.status.held_since is not None)
            since = route.status.held_since
            await trio.sleep(0.5)
            assert route.status.held_since == since
        await wait_until(lambda: route.status.held_since is None)
        assert route.status.queue_usage is not None
        await wait_until(lambda: route.ledger.statistics().acknowledged == 1)


async def test_lag_grows_while_grafana_is_away(database: Database) -> None:
    """How far delivery is behind starts small, grows during an outage with no rows lost, and falls again."""
    async with LiveServer() as live, serving(database, live) as (service, _):
        (route,) = service.routes
        await live.wait_connections(1)
        await wait_until(lambda: route.status.complete_at is not None)
        before = route.status.complete_at
        await wait_until(lambda: route.status.complete_at != before)
        live.faults.mute = True
        database.execute(f"INSERT INTO {TABLE} (value) VALUES (1)")
        await wait_until(lambda: route.ledger.statistics().pending == 1)
        stuck = route.status.complete_at
        await trio.sleep(0.8)
        assert route.status.complete_at == stuck
        live.faults.mute = False
        live.faults.cut()
        await wait_until(lambda: route.status.complete_at != stuck)
        await wait_until(lambda: route.ledger.statistics().acknowledged == 1)
