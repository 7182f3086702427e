"""A bridge in this process whose way to Grafana can be broken: by the Live server's own faults or a proxy before it.

    table ─▶ bridge ─▶ FaultProxy ─▶ LiveServer ─▶ sink

`pushing` is `tests.faults.delivering` with a proxy in that place. What most faults of the socket have to show is one
sentence in the log and in the status while it is broken (`wait_broken`), rows again when it is not (`wait_recovered`),
and nothing lost (`assert_intact`).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
from msgspec import structs
from structlog.testing import capture_logs

from tests.chaos.bridges import running_bridge, settings_for
from tests.chaos.sink import Sink
from tests.faults.delivering import ROUTE, Delivering, prepare
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.waiting import wait_until
from trio_bridge.config.settings import RouteSettings, ServiceSettings
from trio_bridge.live.server import LiveServer

RESTART_MAX_S = 1.0
"""The longest wait between two attempts, by default: what may pass until a route has noticed that all is well again."""

BUSY_S = 1.5
"""What a busy machine may add to a time that is measured here."""


@dataclass(slots=True)
class Pushing(Delivering):
    """See the module.

    Attributes:
        proxy: between the bridge and the Live server.
        logs: what the bridge said so far.
    """

    proxy: FaultProxy
    logs: list[Any]

    def said(self, event: str) -> list[str]:
        """The reasons given for `event`, one each time it was logged."""
        return [str(entry.get("reason", "")) for entry in self.logs if entry["event"] == event]

    async def wait_broken(self, words: str, since: float) -> float:
        """Until a run has failed after `since` with a sentence that has `words` in it; how long after, seconds."""
        await wait_until(lambda: (last := self.route.last_failure) is not None and last.at >= since)
        failure = self.route.last_failure
        assert failure is not None
        assert words in failure.sentence
        assert any(words in reason for reason in self.said("route_failed"))
        return failure.at - since

    async def wait_recovered(self, ids: Iterable[int], since: float) -> float:
        """Until these rows have arrived and the route says that all is well; seconds after `since` until they had."""
        await self.wait_arrived(ids)
        took_s = time.monotonic() - since
        await wait_until(lambda: self.route.failure == "")
        assert self.said("route_failed")
        return took_s


@asynccontextmanager
async def pushing(
    dsn: str,
    *,
    route: RouteSettings = ROUTE,
    connected: bool = True,
    live_options: dict[str, Any] | None = None,
    restart_max_s: float = RESTART_MAX_S,
    **grafana: Any,
) -> AsyncIterator[Pushing]:
    """An installed table, a Live server, a proxy and a bridge that is connected through it.

    Args:
        dsn: an empty database.
        route: of the table of the chaos runs.
        connected: whether to wait until the push socket is open.
        live_options: of the `LiveServer`.
        restart_max_s: longest wait between two attempts, if it is not the default.
        grafana: further settings of that section.
    """
    await trio.to_thread.run_sync(prepare, dsn)
    sink = Sink()
    async with (
        LiveServer(on_message=sink, **(live_options or {})) as live,
        fault_proxy("127.0.0.1", live.port) as proxy,
    ):
        host, port = proxy.listens_on
        settings = settings_for(dsn, live, route)
        settings = structs.replace(
            settings,
            grafana=structs.replace(settings.grafana, url=f"http://{host}:{port}", **grafana),
            service=ServiceSettings(drain_timeout_s=20.0, restart_max_s=restart_max_s),
        )
        with capture_logs() as logs:
            async with running_bridge(settings) as service:
                world = Pushing(dsn, live, sink, service, proxy, logs)
                if connected:
                    await live.wait_connections(1)
                yield world
