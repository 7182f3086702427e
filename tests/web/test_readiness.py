"""Each state of a route: ready or not, and who is to blame; the last test asks a running service."""

from __future__ import annotations

import math

import pytest
import trio

from tests.pg import Database
from tests.waiting import wait_until
from tests.web.serving import TABLE, TABLE_ROUTE, resting, serving
from trio_bridge.live.faults import answer as respond
from trio_bridge.live.server import LiveServer
from trio_bridge.route import Failure, Route
from trio_bridge.sender.stage import KEEPALIVE_S
from trio_bridge.web.lag import lag_s
from trio_bridge.web.readiness import PING_EVERY_S, grafana, postgres, reasons, why_not

NOW = 1000.0


def route(phase: str, *, postgres_at: float | None = NOW, grafana_at: float | None = NOW) -> Route:
    (made,) = resting(TABLE_ROUTE)
    made.status.phase = phase
    made.status.answered_at = postgres_at
    made.vitals.grafana_answered_at = grafana_at
    made.vitals.connected = phase == "running" and grafana_at is not None
    return made


@pytest.mark.parametrize(
    ("state", "sides", "why"),
    [
        (route("running"), ("up", "up"), ""),
        (route("standby", grafana_at=None), ("up", "unknown"), ""),
        (route("stopped", postgres_at=None, grafana_at=None), ("unknown", "unknown"), "is stopped"),
        (route("connecting", postgres_at=None, grafana_at=None), ("unknown", "unknown"), "is connecting"),
        (route("running", grafana_at=None), ("up", "unknown"), "is not connected to grafana yet"),
        (route("draining"), ("up", "unknown"), "is draining"),
        (
            route("running", postgres_at=NOW - 6),
            ("down", "up"),
            "postgres has not answered for more than 5 s",
        ),
        (
            route("standby", postgres_at=NOW - 6),
            ("down", "unknown"),
            "postgres has not answered for more than 5 s",
        ),
        (route("running", grafana_at=NOW - 21), ("up", "down"), "grafana has not answered its last ping"),
        (route("running", grafana_at=NOW - 19), ("up", "up"), ""),
    ],
)
def test_each_state(state: Route, sides: tuple[str, str], why: str) -> None:
    """Ready only while leading or standing by, with young answers; otherwise one reason."""
    assert (postgres(state, NOW), grafana(state, NOW)) == sides
    assert why_not(state, NOW) == why


@pytest.mark.parametrize("phase", ["stopped", "connecting"])
def test_who_failed_stays_down_until_it_answers(phase: str) -> None:
    """While a route tries again and again, the side at fault stays down with its own sentence, the other does not."""
    state = route(phase, postgres_at=NOW - 1, grafana_at=NOW - 2)
    state.last_failure = Failure("postgres", "no route to host", NOW - 0.5)
    assert (postgres(state, NOW), why_not(state, NOW)) == ("down", "no route to host")
    state.last_failure = Failure("grafana_credentials", "bad token", NOW - 0.5)
    assert (postgres(state, NOW), grafana(state, NOW)) == ("up", "down")
    assert why_not(state, NOW) == "bad token"
    state.vitals.grafana_answered_at = NOW
    state.vitals.connected = True
    state.status.phase = "running"
    assert why_not(state, NOW) == ""


def test_one_route_of_several_makes_the_service_unready() -> None:
    """The reasons name the routes that are not ready, and a stop is reason enough."""
    routes = [route("running"), route("connecting")]
    assert list(reasons(routes, now=NOW, stopping=False)) == ["route public.live_metrics: is connecting"]
    assert list(reasons(routes[:1], now=NOW, stopping=False)) == []
    assert list(reasons(routes[:1], now=NOW, stopping=True)) == ["the service is stopping"]


def test_nobody_knows_the_lag_of_another_replica() -> None:
    """How far behind the leader is only the leader knows, also when Postgres goes while we stand by."""
    state = route("running")
    state.status.complete_at = NOW - 0.3
    assert lag_s(state, NOW) == pytest.approx(0.3)
    state.status.elsewhere = True
    for phase in ("standby", "stopped"):
        state.status.phase = phase
        assert math.isnan(lag_s(state, NOW))


def test_the_longest_silence_is_the_senders() -> None:
    """An idle route, pinged as seldom as the sender does it, is ready all the time."""
    assert PING_EVERY_S >= KEEPALIVE_S


async def test_a_running_service_says_so(database: Database) -> None:
    """503 with a sentence about Grafana while it refuses, 200 when it does not, 503 once the service shall stop."""
    async with LiveServer() as live, serving(database, live) as (service, client):
        await live.wait_connections(1)
        assert (await client.get("/livez")).text == "alive\n"
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": []})

        live.faults.refusal = respond(503)
        live.faults.cut()
        await wait_until(lambda: service.routes[0].failure != "")
        for _ in range(20):
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            (reason,) = answer.json()["reasons"]
            assert "127.0.0.1" in reason
            assert reason.startswith("route public.live_metrics: ")
            await trio.sleep(0.02)

        live.faults.refusal = None
        await live.wait_connections(2)
        assert (await client.get("/readyz")).status_code == 200

        live.faults.seconds_per_message = 0.5
        database.execute(f"INSERT INTO {TABLE} (value) VALUES (1)")
        await wait_until(lambda: service.pending == 1)
        service.stop.set()
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["reasons"]) == (503, ["the service is stopping"])
