"""A bridge that is frozen holds up nobody: not its writers, not the notification queue, not the next leader."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from tests.chaos.run import queue_usage
from tests.faults.processes import bridge_process, events, gate_held, wait_connected, wait_fact, writer
from tests.faults.readings import readings
from tests.pg import Database
from trio_bridge.demo.postgres import EmbeddedPostgres

# Whole processes, on processors that others use too.
pytestmark = pytest.mark.deadline(90)

GATE_FREE_S = 8.0
HANDOVER_S = 12.0


@pytest.fixture
def by_socket() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, with a Unix socket."""
    with EmbeddedPostgres(unix_socket=True) as server:
        server.create_database("frozen")
        yield server


@pytest.mark.fault(6)
@pytest.mark.deadline(150)
async def test_frozen_over_tcp(
    database: Database, tmp_path: Path, figures: Callable[..., None], full_length: bool
) -> None:
    """Gate shut: Postgres opens it within 8 s, no writer fails, the queue stays empty, no row is lost."""
    lasts_s, rate = (60.0, 2_000) if full_length else (6.0, 500)
    async with (
        readings(database.dsn, repeats=True) as world,
        bridge_process(world, tmp_path) as bridge,
    ):
        await wait_connected(world, bridge)
        await world.wait_arrived(*world.insert())
        await wait_fact(bridge, lambda: gate_held(world))
        bridge.signal(signal.SIGSTOP)
        frozen_at = time.monotonic()
        load = writer(world, rate)
        load.start()
        with trio.fail_after(3 * GATE_FREE_S):
            while gate_held(world):
                await trio.sleep(0.05)
        gate_free_s = time.monotonic() - frozen_at
        assert gate_free_s <= GATE_FREE_S
        await trio.sleep(max(0.0, frozen_at + lasts_s - time.monotonic()))
        usage = queue_usage(world.dsn)
        assert usage < 0.02
        await trio.to_thread.run_sync(load.finish)
        bridge.signal(signal.SIGCONT)
        thawed_at = time.monotonic()
        await world.wait_all()
        recovery_s = time.monotonic() - thawed_at
        # It saw that it leads no more, and began anew from the checkpoint.
        assert len(events(bridge, "running")) == 1
        assert len(events(bridge, "route_failed")) == 1
        assert await bridge.terminate() == 0
    figures(
        frozen_s=lasts_s, gate_free_s=gate_free_s, slowest_commit_s=load.slowest_s,
        queue_usage_percent=usage * 100, recovery_s=recovery_s, duplicates=world.sink.duplicates,
    )  # fmt: skip


@pytest.mark.fault(6, 104)
async def test_frozen_over_a_unix_socket(
    by_socket: EmbeddedPostgres, tmp_path: Path, figures: Callable[..., None]
) -> None:
    """Where no timeout of Postgres ends it, the standby does and takes over, within 12 s; thawed, it stands by."""
    dsn = by_socket.dsn("frozen")
    local = by_socket.dsn("frozen", host=str(by_socket.socket_directory))
    async with (
        readings(dsn, repeats=True) as world,
        bridge_process(world, tmp_path / "leader", dsn=local) as leader,
    ):
        await wait_connected(world, leader)
        async with bridge_process(world, tmp_path / "standby", dsn=local) as standby:
            await wait_fact(standby, lambda: bool(events(standby, "standby")))
            await world.wait_arrived(*world.insert())
            await wait_fact(leader, lambda: gate_held(world))
            leader.signal(signal.SIGSTOP)
            frozen_at = time.monotonic()
            load = writer(world, 200)
            load.start()
            await wait_fact(standby, lambda: bool(events(standby, "frozen_leader_ended")))
            await wait_connected(world, standby, 2)
            handover_s = time.monotonic() - frozen_at
            assert handover_s < HANDOVER_S
            assert queue_usage(dsn) < 0.02
            await trio.to_thread.run_sync(load.finish)
            await world.wait_all()
            leader.signal(signal.SIGCONT)
            await wait_fact(leader, lambda: bool(events(leader, "standby")))
            assert world.live.counters.connections == 2
            assert await leader.terminate() == 0
            assert await standby.terminate() == 0
    figures(handover_s=handover_s, slowest_commit_s=load.slowest_s, duplicates=world.sink.duplicates)
