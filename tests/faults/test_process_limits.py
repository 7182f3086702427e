"""Limits of the operating system: memory and file descriptors run out while the bridge runs, and come back."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.chaos.bridges import BridgeProcess
from tests.faults.processes import bridge_process, events, wait_connected, wait_fact
from tests.faults.readings import TABLE, readings
from tests.pg import Database
from tests.waiting import wait_until

# Whole processes, on processors that others use too.
pytestmark = pytest.mark.deadline(90)

MIB = 1 << 20


def address_space(bridge: BridgeProcess) -> int:
    """Bytes of it that the process has in use."""
    pages = Path(f"/proc/{bridge.pid}/statm").read_text().split()[0]
    return int(pages) * resource.getpagesize()


def limit(bridge: BridgeProcess, what: int, most: int) -> None:
    """The soft limit, which may be raised again."""
    _, hard = resource.prlimit(bridge.pid, what)
    resource.prlimit(bridge.pid, what, (most, hard))


@pytest.mark.fault(10)
async def test_a_backlog_larger_than_memory(
    database: Database, tmp_path: Path, figures: Callable[..., None]
) -> None:
    """With 24 MiB to spare, 40 MB of rows get through, once each: what waits is bounded."""
    async with readings(database.dsn) as world, bridge_process(world, tmp_path) as bridge:
        await wait_connected(world, bridge)
        await world.wait_arrived(*world.insert())
        before = address_space(bridge)
        limit(bridge, resource.RLIMIT_AS, before + 24 * MIB)
        world.execute(
            f"INSERT INTO {TABLE} (value, note) SELECT g, repeat('x', 1000) FROM generate_series(1, 40000) g"
        )
        await world.wait_all()
        grown = address_space(bridge) - before
        assert not events(bridge, "route_failed", "route_crashed")
        assert await bridge.terminate() == 0
    figures(grown_mib=grown / MIB)


@pytest.mark.fault(10)
@pytest.mark.parametrize(("rows", "size"), [(20_000, 60), (1_000, 5_000), (300, 60_000)])
async def test_no_memory_at_all(database: Database, tmp_path: Path, rows: int, size: int) -> None:
    """Whatever that breaks, it ends or goes on by itself once there is memory again: no row is lost, no end hangs."""
    async with readings(database.dsn, repeats=True) as world, bridge_process(world, tmp_path) as bridge:
        await wait_connected(world, bridge)
        await world.wait_arrived(*world.insert())
        limit(bridge, resource.RLIMIT_AS, address_space(bridge) // 2)
        world.execute(
            f"INSERT INTO {TABLE} (value, note) SELECT g, repeat('x', {size}) FROM generate_series(1, {rows}) g"
        )
        # What happens differs from run to run, and without memory it may not be able to say so.
        with trio.move_on_after(2.0):
            await wait_until(
                lambda: not bridge.alive or bool(events(bridge, "route_failed", "route_crashed"))
            )
        if bridge.alive:
            limit(bridge, resource.RLIMIT_AS, resource.RLIM_INFINITY)
        await wait_until(lambda: not bridge.alive or world.sink.rows == rows + 1)
        if not bridge.alive:
            bridge.start()
        await world.wait_all()
        assert await bridge.terminate() == 0


@pytest.mark.fault(11)
@pytest.mark.parametrize("most", [8, 11])
async def test_started_with_few_file_descriptors(database: Database, tmp_path: Path, most: int) -> None:
    """Too few to connect: it says so and tries again, or ends with a sentence; with more it delivers."""
    async with readings(database.dsn) as world:
        world.insert(3)
        async with bridge_process(world, tmp_path, "prlimit", f"--nofile={most}:1024") as bridge:
            await wait_until(
                lambda: not bridge.alive or bool(events(bridge, "route_failed", "route_crashed"))
            )
            if bridge.alive:
                limit(bridge, resource.RLIMIT_NOFILE, 64)
            else:
                bridge.start()
            await world.wait_all()
            assert await bridge.terminate() == 0


@pytest.mark.fault(11)
async def test_file_descriptors_run_out_later(database: Database, tmp_path: Path) -> None:
    """A connection that is lost cannot be replaced: it tries on, leaks none, and goes on when there are some again."""
    async with readings(database.dsn, repeats=True) as world, bridge_process(world, tmp_path) as bridge:
        await wait_connected(world, bridge)
        await world.wait_arrived(*world.insert())
        before = bridge.open_files()
        limit(bridge, resource.RLIMIT_NOFILE, before - 3)
        world.live.faults.cut()
        keys = world.insert()
        await wait_fact(bridge, lambda: len(events(bridge, "route_failed", "route_crashed")) > 2)
        assert bridge.open_files() <= before
        limit(bridge, resource.RLIMIT_NOFILE, 64)
        await world.wait_arrived(*keys)
        assert bridge.open_files() == before
        assert await bridge.terminate() == 0
