"""One reconnect after the other: nothing piles up in the process, and rows get through all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.faults.processes import bridge_process, wait_connected
from tests.faults.proxy import fault_proxy
from tests.faults.readings import readings
from tests.pg import Database

# Whole processes, on processors that others use too.
pytestmark = pytest.mark.deadline(90)

RUN_S = 0.2
"""From being connected to the next cut."""


@pytest.mark.fault(11, 13)
@pytest.mark.deadline(2400)
@pytest.mark.timeout(2460)
@pytest.mark.parametrize("side", ["grafana", "postgres"])
async def test_reconnects_one_after_the_other(
    database: Database, tmp_path: Path, figures: Callable[..., None], full_length: bool, side: str
) -> None:
    """Cut a fifth of a second after each connect: the checkpoint gets on, no descriptor and no memory leaks."""
    cuts = 500 if full_length else 12
    server = database.server
    async with (
        readings(database.dsn, repeats=True) as world,
        fault_proxy(server.host, server.port) as postgres,
    ):
        host, port = postgres.listens_on
        settings = {"service_restart_min_s": "0.02", "service_restart_max_s": "0.1"}
        through = server.dsn(database.name, host=host, port=port)
        async with bridge_process(world, tmp_path, dsn=through, **settings) as bridge:
            await wait_connected(world, bridge)
            await world.wait_arrived(*world.insert())
            files, rss_kib = bridge.open_files(), bridge.rss_kib()
            world.insert(30_000)
            positions = {str(world.checkpoint())}
            for number in range(1, cuts + 1):
                await wait_connected(world, bridge, number)
                await trio.sleep(RUN_S)
                if side == "grafana":
                    world.live.faults.cut(reset=True)
                else:
                    postgres.cut(reset=True)
                positions.add(str(world.checkpoint()))
                if number % 10 == 0:
                    # Without new rows there would be no progress to be seen.
                    world.insert(1_000)
            await wait_connected(world, bridge, cuts + 1)
            await world.wait_all()
            # Most runs came as far as a checkpoint, though each was cut long before the second between two.
            assert len(positions) > cuts / 2
            assert bridge.open_files() == files
            grown_kib = bridge.rss_kib() - rss_kib
            assert grown_kib < 24 * 1024
            assert await bridge.terminate() == 0
    figures(
        **{
            f"{side}_cuts": cuts,
            f"{side}_memory_grown_mib": grown_kib / 1024,
            f"{side}_duplicates": world.sink.duplicates,
        }
    )
