"""Bridges as processes of their own, for `tests.faults.readings`.

`bridge_process` starts one, with settings and wrappers of the test's choice, and makes sure that it does not outlive
the block; how it ends is the test's business. Facts about it are waited for, and its death ends every wait.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from tests.chaos.bridges import BridgeProcess
from tests.faults.readings import ROUTE, TABLE, Readings
from tests.load.measure import SteadyWriter
from trio_bridge.postgres.queries import GATE_CLASS

BUSY: Final = 3.0
"""How much longer than is required something that needs the processor may take here: the cores are others' as well."""

GATE_HELD = (
    f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = {GATE_CLASS} AND granted"
)


@asynccontextmanager
async def bridge_process(
    world: Readings,
    directory: Path,
    *wrapper: str,
    program: str = "trio_bridge",
    dsn: str | None = None,
    **settings: str,
) -> AsyncIterator[BridgeProcess]:
    """A running process; killed at the end of the block if it is still there.

    Args:
        world: what it reads and where it pushes.
        directory: for its log; made if need be.
        wrapper: see `BridgeProcess.start`.
        program: see there.
        dsn: instead of the world's.
        settings: see there.
    """
    await trio.Path(directory).mkdir(exist_ok=True)
    own = {"table": TABLE, "fields": ",".join(ROUTE.fields or ())} | settings
    bridge = BridgeProcess(dsn or world.dsn, world.live, directory, program=program, **own)
    bridge.start(*wrapper)
    try:
        yield bridge
    finally:
        if bridge.alive:
            bridge.kill()


async def wait_fact(bridge: BridgeProcess, fact: Callable[[], bool]) -> None:
    """Until `fact` holds; fails if the bridge ends before."""
    while not fact():
        assert bridge.alive, f"the bridge has ended: {bridge.log()[-5:]}"
        await trio.sleep(0.01)


async def wait_connected(world: Readings, bridge: BridgeProcess, connections: int = 1) -> None:
    """Until so many push sockets have been opened in all."""
    await wait_fact(bridge, lambda: world.live.counters.connections >= connections)


def events(bridge: BridgeProcess, *names: str) -> list[dict[str, object]]:
    """Its log records of these kinds."""
    return [record for record in bridge.log() if record["event"] in names]


def gate_held(world: Readings) -> bool:
    """Whether some session holds the table's gate, so that writers ring."""
    return world.execute(GATE_HELD) != [(0,)]


def writer(world: Readings, rate: float, rows: int = 1) -> SteadyWriter:
    """Writes into the world's table; not started yet."""
    return SteadyWriter(world.dsn, rate, rows=rows, table=TABLE)


def status_url(bridge: BridgeProcess) -> str:
    """Where it serves its status, which it does from before it is connected."""
    (served,) = events(bridge, "serving_status")
    return str(served["url"])
