"""Which path answers what, asked of a running service."""

from __future__ import annotations

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST

from tests.pg import Database
from tests.waiting import wait_until
from tests.web.serving import TABLE, serving
from trio_bridge.live.server import LiveServer
from trio_bridge.web.assets import load_page
from trio_bridge.web.moment import Moment


async def test_each_path(database: Database) -> None:
    """Page, metrics and status come with their types, uncached and bound to their own host; nothing else is there."""
    async with LiveServer() as live, serving(database, live) as (service, client):
        await live.wait_connections(1)
        for path, (content_type, body) in load_page().items():
            answer = await client.get(path)
            assert (answer.status_code, answer.content) == (200, body)
            assert answer.headers["content-type"] == content_type
            assert "default-src 'self'" in answer.headers["content-security-policy"]
        metrics = await client.get("/metrics")
        assert metrics.headers["content-type"] == CONTENT_TYPE_LATEST
        assert "process_open_fds" in metrics.text
        status = await client.get("/status.json")
        assert (status.headers["content-type"], status.headers["cache-control"]) == (
            "application/json",
            "no-store",
        )
        assert (await client.get("/metrics/")).status_code in (307, 404)
        assert (await client.get("/../settings")).status_code == 404
        assert (await client.post("/livez")).status_code == 405
        assert service.url == str(client.base_url)


async def test_no_value_of_a_row_and_no_secret_shows(database: Database) -> None:
    """Rows, rejected ones too, and the token leave no trace in anything that is served."""
    secret = 918_273_645
    async with LiveServer() as live, serving(database, live) as (service, client):
        await live.wait_connections(1)
        database.execute(f"INSERT INTO {TABLE} (value) VALUES ({secret})")
        database.execute(f"INSERT INTO {TABLE} (timestamp, value) VALUES ('infinity', {secret})")
        await wait_until(lambda: service.routes[0].ledger.statistics().rejected == {"time_infinite": 1})
        for path in ("/metrics", "/status.json", "/readyz", "/"):
            text = (await client.get(path)).text
            assert str(secret) not in text
            assert live.token not in text


async def test_the_moment_says_what_happened(database: Database) -> None:
    """Rows, rate, mode, both sides and the last minute are those of the route."""
    async with LiveServer() as live, serving(database, live) as (service, client):
        await live.wait_connections(1)
        database.execute(f"INSERT INTO {TABLE} (value) SELECT g FROM generate_series(1, 50) g")

        async def moment() -> Moment:
            return msgspec.json.decode((await client.get("/status.json")).content, type=Moment)

        await wait_until(lambda: service.routes[0].ledger.statistics().acknowledged == 50)
        (route,) = (await moment()).routes
        while not sum(route.recent):
            (route,) = (await moment()).routes
        assert (route.seen, route.acknowledged, route.pending, route.rejected) == (50, 50, 0, 0)
        assert (route.name, route.phase, route.postgres, route.grafana) == (TABLE, "running", "up", "up")
        assert route.ready
        assert route.acknowledged_per_s > 0
        assert sum(route.recent) == 50
        assert route.push_to_ack.p50 is not None
        assert route.lag_s is not None
        assert route.lag_s < 5
