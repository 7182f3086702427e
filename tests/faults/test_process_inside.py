"""What goes wrong inside of the bridge: a loop that is held up, a thread or a task that dies of a bug."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import trio

from tests.chaos.run import queue_usage
from tests.faults.failing_bridge import PROGRAM, failing
from tests.faults.processes import (
    BUSY,
    bridge_process,
    events,
    gate_held,
    status_url,
    wait_connected,
    wait_fact,
)
from tests.faults.readings import readings
from tests.pg import Database
from tests.waiting import wait_until

# Whole processes, on processors that others use too.
pytestmark = pytest.mark.deadline(90)


async def lives(url: str) -> bool:
    """Whether a probe with the usual timeout of a second finds the bridge alive."""
    async with httpx.AsyncClient(timeout=1.0) as client:
        try:
            return (await client.get(f"{url}/livez")).status_code == 200
        except httpx.TimeoutException:
            return False


@pytest.mark.fault(7)
async def test_the_event_loop_is_blocked(
    database: Database, tmp_path: Path, figures: Callable[..., None], full_length: bool
) -> None:
    """The thread reads on, a probe sees it, and afterwards all goes on: no reconnect, nothing twice."""
    blocked_s = 10.0 if full_length else 3.0
    armed = tmp_path / "armed"
    async with (
        readings(database.dsn) as world,
        bridge_process(
            world,
            tmp_path,
            *failing("in the sender", f"block:{blocked_s}", armed),
            program=PROGRAM,
            http_listen="127.0.0.1:0",
        ) as bridge,
    ):
        await wait_connected(world, bridge)
        await world.wait_arrived(*world.insert())
        url = status_url(bridge)
        assert await lives(url)
        await wait_fact(bridge, lambda: gate_held(world))
        armed.touch()
        began = time.monotonic()
        keys = world.insert()
        await wait_until(lambda: not armed.exists())
        assert not await lives(url)
        # The gate is shut, so each of these rings; ten thousand bells do not fit into the sockets' buffers.
        world.execute(BELLS)
        await wait_until(lambda: queue_usage(world.dsn) == 0.0)
        drained_s = time.monotonic() - began
        assert drained_s < blocked_s
        while time.monotonic() < began + blocked_s:
            keys += world.insert()
            await trio.sleep(0.05)
        await world.wait_arrived(*keys)
        assert await lives(url)
        assert world.live.counters.connections == 1
        assert not events(bridge, "route_failed", "route_crashed")
        assert await bridge.terminate() == 0
    figures(blocked_s=blocked_s, bells_read_after_s=drained_s, duplicates=world.sink.duplicates)


BELLS = """
DO $$ BEGIN
    FOR n IN 1..10000 LOOP
        PERFORM pg_notify('influx_feed', '*');
        COMMIT;
    END LOOP;
END $$
"""


@pytest.mark.fault(8)
@pytest.mark.fault(9)
@pytest.mark.parametrize("point", ["in the listener's thread", "in the decoder", "in the sender"])
async def test_a_bug_ends_the_run_not_the_program(
    database: Database, tmp_path: Path, figures: Callable[..., None], point: str
) -> None:
    """Wherever it is, it is logged at once with its traceback, and the route starts again from its checkpoint."""
    armed = tmp_path / "armed"
    async with (
        readings(database.dsn, repeats=True) as world,
        bridge_process(world, tmp_path, *failing(point, "raise", armed), program=PROGRAM) as bridge,
    ):
        await wait_connected(world, bridge)
        await world.wait_arrived(*world.insert(3))
        armed.touch()
        began = time.monotonic()
        keys = world.insert(3)
        await wait_until(lambda: bool(events(bridge, "route_crashed")))
        detection_s = time.monotonic() - began
        await world.wait_arrived(*keys)
        recovery_s = time.monotonic() - began
        assert detection_s < 1 * BUSY
        assert recovery_s < 1 * BUSY
        (crash,) = events(bridge, "route_crashed")
        assert "a fault on purpose" in str(crash["exception"])
        assert await bridge.terminate() == 0
    figures(detection_s=detection_s, recovery_s=recovery_s, duplicates=world.sink.duplicates)
