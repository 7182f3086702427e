"""A log that cannot be written costs its lines, and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.processes import BUSY, bridge_process, wait_connected
from tests.faults.readings import readings
from tests.pg import Database

# Whole processes, on processors that others use too.
pytestmark = pytest.mark.deadline(90)

CUTS = 5
"""Each costs a failure, a recovery and a new run their lines."""


@pytest.fixture
def broken_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Where the bridge writes its log, and what to call once it has begun to."""
    if request.param == "full disk":
        yield Path("/dev/full"), lambda: None
        return
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # With both ends open here, opening waits for nobody, and the pipe lives as long as the test wants.
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    if request.param == "full pipe":
        while True:
            try:
                os.write(reader, b"x" * 4096)
            except BlockingIOError:
                break
        yield pipe, lambda: None
        os.close(reader)
    else:
        yield pipe, lambda: os.close(reader)


@pytest.mark.fault(117)
@pytest.mark.parametrize("broken_log", ["full disk", "full pipe", "closed pipe"], indirect=True)
async def test_the_log_cannot_be_written(
    database: Database, tmp_path: Path, broken_log: tuple[Path, Callable[[], None]]
) -> None:
    """Nobody takes what it has to say of its reconnects: no row waits for that, and the program ends as ever."""
    target, close = broken_log
    wrapper = ("sh", "-c", f'exec "$@" 2> {target}', "sh")
    async with (
        readings(database.dsn, repeats=True) as world,
        bridge_process(world, tmp_path, *wrapper, service_log_level="debug") as bridge,
    ):
        await wait_connected(world, bridge)
        close()
        for number in range(CUTS):
            await world.wait_arrived(*world.insert())
            world.live.faults.cut()
            await wait_connected(world, bridge, 2 + number)
        await world.wait_arrived(*world.insert())
        began = time.monotonic()
        assert await bridge.terminate() == 0
        # Two waits of half a second for whoever might still read.
        assert time.monotonic() - began < 1 + BUSY
        assert not bridge.log()
