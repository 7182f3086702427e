"""Failover to an asynchronous standby that had not received everything, with real servers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
import trio
from structlog.testing import capture_logs

from tests.chaos.bridges import running_bridge, settings_for
from tests.chaos.run import wait_all_delivered
from tests.chaos.writers import TABLE
from tests.faults.delivering import ROUTE, delivering, insert, starting, through
from tests.faults.proxy import fault_proxy
from tests.faults.standby import Standby, senders
from tests.waiting import wait_until
from trio_bridge.demo.postgres import EmbeddedPostgres

Figures = Callable[..., None]

CHECKPOINT = "SELECT snapshot::text FROM trio_bridge.checkpoint"
NEVER_REPLICATED = 1_000_000
"""Ids from here on are of rows that only the old primary ever had."""


@pytest.fixture
def primary() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres() as server:
        yield server


@pytest.fixture
def standby(primary: EmbeddedPostgres) -> Iterator[Standby]:
    """Of `primary`; what is installed there comes by itself."""
    with Standby(primary) as server:
        yield server


@pytest.mark.deadline(60)
@pytest.mark.fault(18)
async def test_failover_delivers_the_new_timeline_from_its_own_checkpoint(
    primary: EmbeddedPostgres, standby: Standby, figures: Figures
) -> None:
    """Every row of the new timeline arrives, read from the checkpoint that was replicated; the promotion is logged."""
    async with (
        fault_proxy(primary.host, primary.port) as proxy,
        delivering(primary.dsn(), via=through(proxy, primary.dsn())) as world,
    ):
        await world.wait_arrived(await world.insert(50))
        await world.wait_saved()
        await standby.wait_caught_up()
        for pid in senders(primary):
            os.kill(pid, signal.SIGSTOP)
        # Committed, shown and in the checkpoint, but only here.
        gone = await trio.to_thread.run_sync(insert_gone, primary.dsn())
        await world.wait_arrived(gone)
        await world.wait_saved()
        with standby.connect() as connection:
            ((kept,),) = connection.execute(CHECKPOINT).fetchall()
        with capture_logs() as logs:
            await trio.to_thread.run_sync(primary.kill9)
            await trio.to_thread.run_sync(standby.promote)
            promoted = time.monotonic()
            proxy.host, proxy.port = standby.host, standby.port
            proxy.cut()
            world.dsn = standby.dsn()
            await world.wait_arrived(await world.insert(50))
            recovery_s = time.monotonic() - promoted
            await world.wait_saved()
        positions = [entry["position"] for entry in logs if entry["event"] == "running"]
        assert positions[0] == kept
        changes = [(entry["was"], entry["now"]) for entry in logs if entry["event"] == "timeline_changed"]
        assert changes == [(1, 2)]
        assert world.route.status.timeline == 2
        await wait_all_delivered(world.dsn, TABLE, world.sink, limit_s=20)
        with psycopg.connect(world.dsn) as connection:
            verdict = world.sink.compare(connection, TABLE)
    # The rows of the dead timeline had been shown: they are what the new one never had.
    assert (verdict.lost, verdict.altered, verdict.phantoms) == (0, 0, len(gone))
    assert verdict.committed == 100
    figures(recovery_s=recovery_s, shown_of_the_dead_timeline_rows=len(gone), duplicates=verdict.duplicates)


def insert_gone(dsn: str) -> list[int]:
    return insert(dsn, 30, first_id=NEVER_REPLICATED)


@pytest.mark.deadline(60)
@pytest.mark.fault(19)
async def test_two_primaries_are_two_bridges_and_the_timeline_tells_them_apart(
    primary: EmbeddedPostgres, standby: Standby
) -> None:
    """Behind a partition each primary has its own leader, which delivers its own rows: only the timeline shows it."""
    async with delivering(primary.dsn()) as world:
        await world.wait_arrived(await world.insert(10))
        await world.wait_saved()
        await standby.wait_caught_up()
        await trio.to_thread.run_sync(standby.promote)
        async with running_bridge(settings_for(standby.dsn(), world.live, ROUTE)) as other:
            await world.live.wait_connections(2)
            ids = [
                *await trio.to_thread.run_sync(insert_gone, primary.dsn()),
                *await trio.to_thread.run_sync(insert, standby.dsn(), 20),
            ]
            await world.wait_arrived(ids)
            assert (world.route.status.timeline, other.routes[0].status.timeline) == (1, 2)
            assert [route.status.phase for route in (world.route, *other.routes)] == ["running"] * 2
            assert world.failures == other.routes[0].ledger.statistics().restarts == 0


@pytest.mark.deadline(60)
@pytest.mark.fault(20)
async def test_a_hot_standby_is_named_and_another_host_is_found(
    primary: EmbeddedPostgres, standby: Standby
) -> None:
    """On a standby the bridge says what is wrong and waits; with both hosts in the DSN it finds the primary."""
    async with starting(primary.dsn(), via=standby.dsn()) as world:
        await standby.wait_caught_up()
        await wait_until(lambda: "this server is a hot standby" in world.route.failure)
        assert "target_session_attrs=read-write" in world.route.failure
        both = standby.dsn(
            host=f"{standby.host},{primary.host}",
            port=f"{standby.port},{primary.port}",
            target_session_attrs="read-write",
        )
        async with running_bridge(settings_for(both, world.live, ROUTE)) as service:
            await world.wait_arrived(await world.insert(10))
            assert service.routes[0].ledger.statistics().restarts == 0
        # And once it is promoted, the one that waited goes on by itself.
        await standby.wait_caught_up()
        await trio.to_thread.run_sync(standby.promote)
        await world.wait_arrived(await trio.to_thread.run_sync(insert, standby.dsn(), 10))
