"""Started before the servers that it needs, the bridge waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import trio

from tests.chaos.bridges import BridgeProcess
from tests.faults.processes import BUSY, bridge_process, events, status_url, wait_fact
from tests.faults.proxy import fault_proxy
from tests.faults.readings import readings
from trio_bridge.demo.postgres import EmbeddedPostgres

# Whole processes, on processors that others use too.
pytestmark = pytest.mark.deadline(90)


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, which it may stop."""
    with EmbeddedPostgres() as server:
        server.create_database("late")
        yield server


def reasons(bridge: BridgeProcess) -> list[str]:
    """Why it does not deliver, line by line."""
    return [str(record["reason"]) for record in events(bridge, "route_failed")]


@pytest.mark.fault(12)
@pytest.mark.parametrize("also_grafana", [False, True], ids=["postgres", "postgres and grafana"])
async def test_started_while_servers_are_down(
    server: EmbeddedPostgres, tmp_path: Path, figures: Callable[..., None], also_grafana: bool
) -> None:
    """It stays up, alive, not ready, says each reason once, and delivers within a second of the last one's coming."""
    async with (
        readings(server.dsn("late")) as world,
        fault_proxy("127.0.0.1", world.live.port) as grafana,
        httpx.AsyncClient() as client,
    ):
        keys = world.insert(3)
        server.stop()
        grafana.refuses = also_grafana
        through = "http://{}:{}".format(*grafana.listens_on)
        async with bridge_process(world, tmp_path, grafana_url=through, http_listen="127.0.0.1:0") as bridge:
            await wait_fact(bridge, lambda: bool(events(bridge, "route_failed")))
            url = status_url(bridge)
            assert (await client.get(f"{url}/livez")).status_code == 200
            assert (await client.get(f"{url}/readyz")).status_code == 503
            await trio.to_thread.run_sync(server.start)
            if also_grafana:
                await wait_fact(
                    bridge, lambda: any(through.removeprefix("http://") in why for why in reasons(bridge))
                )
                assert (await client.get(f"{url}/readyz")).status_code == 503
                grafana.refuses = False
            began = time.monotonic()
            await world.wait_arrived(*keys)
            recovery_s = time.monotonic() - began
            assert recovery_s < 1 + BUSY
            while (await client.get(f"{url}/readyz")).status_code != 200:
                await trio.sleep(0.01)
            assert len(reasons(bridge)) == len(set(reasons(bridge)))
            assert await bridge.terminate() == 0
    figures(recovery_s=recovery_s)
