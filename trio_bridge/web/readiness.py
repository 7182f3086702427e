"""Whether rows flow or could: a route's phase, the last answers of both sides and the last failure. Pure.

A route is ready while it leads and both sides have answered lately, or while it stands by for a leader elsewhere, when
only Postgres needs to have answered. Anything else is a reason, one sentence for the operator, without a secret. A side
that was at fault stays down until it has answered, however often the route starts again meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal

from trio_bridge.route import Route

Side = Literal["up", "down", "unknown"]

POSTGRES_SILENCE_S: Final = 5.0
"""Ten heartbeats by default. A statement that takes longer makes the route unready, not dead."""

PING_EVERY_S: Final = 10.0
"""The sender pings at least so often (`trio_bridge.sender.stage.KEEPALIVE_S`)."""


def reasons(routes: Iterable[Route], *, now: float, stopping: bool) -> Iterator[str]:
    """Why not every route is ready; none: all are.

    Args:
        routes: of the service.
        now: monotonic seconds.
        stopping: whether the service was told to stop.
    """
    if stopping:
        yield "the service is stopping"
        return
    for route in routes:
        if reason := why_not(route, now):
            yield f"route {route.name}: {reason}"


def why_not(route: Route, now: float) -> str:
    """Why `route` is not ready at monotonic second `now`; empty: it is."""
    phase = route.status.phase
    if postgres(route, now) == "down":
        return _blamed(route, "postgres") or "postgres has not answered for more than 5 s"
    if phase == "standby":
        return ""
    if grafana(route, now) == "down":
        return _blamed(route, "grafana") or "grafana has not answered its last ping"
    if phase != "running":
        return route.failure or f"is {phase}"
    if not route.vitals.connected:
        return "is not connected to grafana yet"
    return ""


def postgres(route: Route, now: float) -> Side:
    """Whether Postgres answers this route."""
    if _blamed(route, "postgres"):
        return "down"
    answered_at = route.status.answered_at
    if answered_at is None:
        return "unknown"
    if now - answered_at <= POSTGRES_SILENCE_S:
        return "up"
    return "down" if route.status.phase in ("running", "standby", "draining") else "unknown"


def grafana(route: Route, now: float) -> Side:
    """Whether Grafana answers this route."""
    if _blamed(route, "grafana"):
        return "down"
    answered_at = route.vitals.grafana_answered_at
    if not route.vitals.connected or answered_at is None:
        return "unknown"
    # The oldest answer while all is well: a ping after the longest pause, answered at the last moment.
    return "up" if now - answered_at <= PING_EVERY_S + route.ack_timeout_s else "down"


def _blamed(route: Route, side: Literal["postgres", "grafana"]) -> str:
    """What ended the last run, if it was this side's fault and it has not answered since."""
    failure = route.last_failure
    if failure is None or not failure.cause.startswith(side):
        return ""
    answered_at = route.status.answered_at if side == "postgres" else route.vitals.grafana_answered_at
    return failure.sentence if answered_at is None or failure.at > answered_at else ""
