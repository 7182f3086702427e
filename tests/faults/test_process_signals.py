"""SIGTERM and SIGINT: a graceful end leaves nothing twice, and no end takes longer than it may."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.faults.processes import BUSY, bridge_process, events, wait_connected, writer
from tests.faults.proxy import fault_proxy
from tests.faults.readings import readings
from tests.pg import Database
from tests.waiting import wait_until

# Whole processes, on processors that others use too.
pytestmark = pytest.mark.deadline(90)

GRACE_S = 5.0
"""The default of ``drain_timeout_s``."""

GOODBYE_S = 2.0 + BUSY
"""On top: a closing handshake that is not answered, and the end of the process."""


@pytest.mark.fault(3)
async def test_sigterm_in_a_burst_leaves_no_trace(
    database: Database, tmp_path: Path, figures: Callable[..., None]
) -> None:
    """SIGTERM at 50,000 rows/s: exit 0 within the grace of 5 s, and after the next start each row is there once."""
    async with readings(database.dsn) as world:
        burst = writer(world, 50_000, rows=1_000)
        async with bridge_process(world, tmp_path) as bridge:
            await wait_connected(world, bridge)
            burst.start()
            await wait_until(lambda: world.sink.rows > 10_000)
            began = time.monotonic()
            assert await bridge.terminate() == 0
            took_s = time.monotonic() - began
            assert took_s < GRACE_S
            # What was written meanwhile is the next one's.
            await trio.to_thread.run_sync(burst.finish)
        async with bridge_process(world, tmp_path) as bridge:
            await wait_connected(world, bridge, 2)
            await world.wait_all()
            assert await bridge.terminate() == 0
    figures(exit_s=took_s, duplicates=0)


@pytest.mark.fault(4)
async def test_sigterm_while_grafana_is_silent(
    database: Database, tmp_path: Path, figures: Callable[..., None]
) -> None:
    """No pong, no closing handshake: exit code 1 within the grace, and a line that tells how many rows are left."""
    async with (
        readings(database.dsn) as world,
        fault_proxy("127.0.0.1", world.live.port) as proxy,
        bridge_process(
            world,
            tmp_path,
            grafana_url="http://{}:{}".format(*proxy.listens_on),
            service_drain_timeout_s="1",
        ) as bridge,
    ):
        await wait_connected(world, bridge)
        world.live.faults.mute = True
        await world.wait_arrived(*world.insert(3))
        proxy.black_hole()
        began = time.monotonic()
        assert await bridge.terminate() == 1
        took_s = time.monotonic() - began
        assert took_s < 1 + GOODBYE_S
        (left,) = events(bridge, "not_drained")
        assert left["unacknowledged"] == 3
    figures(exit_s=took_s)
