"""A plan as the program's settings, and the limits that are constants of the program, as small as the plan has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import trio_bridge.postgres.delta
import trio_bridge.sender.congestion
import trio_bridge.sender.stage
from tests.simulation.plan import Plan
from trio_bridge.config.settings import (
    GrafanaSettings,
    HttpSettings,
    PostgresSettings,
    RouteSettings,
    ServiceSettings,
    Settings,
)
from trio_bridge.secret import Secret
from trio_bridge.sender.pace import Outbox

ROUTE = "metrics"
MEASUREMENT = "live_metrics"


def settings_of(plan: Plan) -> Settings:
    """What the operator would have written."""
    return Settings(
        postgres=PostgresSettings(
            dsn="host=postgres.example dbname=simulation",
            heartbeat_s=plan.heartbeat_s,
            connect_timeout_s=plan.connect_timeout_s,
        ),
        grafana=GrafanaSettings(
            url="http://grafana.example:3000",
            token=Secret("simulated"),
            message_interval_ms=plan.message_interval_ms,
            connect_timeout_s=plan.connect_timeout_s,
            ack_timeout_s=plan.ack_timeout_s,
            max_unacked_bytes=plan.max_unacked_bytes,
        ),
        route=(
            RouteSettings(
                name=ROUTE,
                table="public.live_metrics",
                measurement=MEASUREMENT,
                fields=("id", "value", "sensor"),
                history_rows=plan.history_rows,
                keyframe_interval_s=plan.keyframe_interval_s,
            ),
        ),
        service=ServiceSettings(restart_min_s=0.1, restart_max_s=plan.restart_max_s),
        http=HttpSettings(listen="off"),
    )


@contextmanager
def limits_of(plan: Plan) -> Iterator[None]:
    """The plan's limits in the place of the program's, which a thousand rows would hardly reach."""
    limits: list[tuple[Any, str, Any]] = [
        (trio_bridge.postgres.delta, "FIRST_PAGE_ROWS", plan.first_page_rows),
        (trio_bridge.postgres.delta, "PAGE_ROWS", max(plan.page_rows, plan.first_page_rows)),
        (trio_bridge.postgres.delta, "PAGE_BYTES", plan.page_bytes),
        (trio_bridge.sender.congestion, "LEAST_BYTES", min(4_096, plan.message_bytes)),
        (trio_bridge.sender.stage, "TAKE_BELOW_BYTES", plan.message_bytes),
        (Outbox.__init__, "__defaults__", (plan.message_bytes,)),
    ]
    with ExitStack() as stack:
        for thing, name, limit in limits:
            stack.callback(setattr, thing, name, getattr(thing, name))
            setattr(thing, name, limit)
        yield
