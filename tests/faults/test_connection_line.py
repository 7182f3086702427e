"""The line to Postgres: packets vanish, come slowly, or in small pieces."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
import trio

from tests.faults.delivering import delivering, through
from tests.faults.proxy import fault_proxy
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.listener.modes import Mode

Figures = Callable[..., None]


@pytest.mark.parametrize(
    ("up", "down"),
    [
        pytest.param(True, True, marks=pytest.mark.fault(22), id="both"),
        pytest.param(False, True, marks=pytest.mark.fault(23), id="from_postgres"),
        pytest.param(True, False, marks=pytest.mark.fault(24), id="to_postgres"),
    ],
)
async def test_a_half_open_connection_is_given_up(
    database: Database, figures: Figures, request: pytest.FixtureRequest, up: bool, down: bool
) -> None:
    """Where packets vanish the connection is given up within 2 s, even of an idle table, and nothing is lost."""
    async with (
        fault_proxy(database.server.host, database.server.port) as proxy,
        # A connection that is made while packets vanish is given up as well, after this time.
        delivering(database.dsn, via=through(proxy, database.dsn), connect_timeout_s=1.0) as world,
    ):
        await world.wait_arrived(await world.insert())
        # Nothing is asked of an idle table but the heartbeat: the longest way to notice.
        await wait_until(lambda: world.route.status.mode is Mode.NOTIFY)
        proxy.black_hole(up=up, down=down)
        began = time.monotonic()
        gap = await world.insert(10)
        detection_s = await world.wait_failed(1) - began
        assert world.route.failure.startswith("postgres has been silent for 1.5 s")
        proxy.heal()
        healed = time.monotonic()
        await world.wait_arrived(gap)
        recovery_s = time.monotonic() - healed
        await world.assert_intact()
    # A heartbeat of 0.5 s, and three without an answer: 2 s. Half a second more for two cores that others use too.
    assert detection_s < 2.5
    name = request.node.callspec.id
    figures(**{f"{name}_detection_s": detection_s, f"{name}_recovery_s": recovery_s})


@pytest.mark.fault(26)
async def test_a_slow_line_makes_rows_late_and_nothing_else(database: Database, figures: Figures) -> None:
    """At 300 ms and 64 kB/s a backlog comes page by page, without an error and without a repeated row."""
    async with (
        fault_proxy(database.server.host, database.server.port) as proxy,
        delivering(database.dsn, via=through(proxy, database.dsn)) as world,
    ):
        for pipe in (proxy.up, proxy.down):
            pipe.latency_s, pipe.bytes_per_s, pipe.slice_bytes = 0.15, 64_000, 4096
        began = time.monotonic()
        ids = await world.insert(600)
        steps = set()
        while world.sink.rows < len(ids):
            steps.add(world.sink.rows)
            await trio.sleep(0.05)
        took_s = time.monotonic() - began
        await world.assert_intact(duplicates=0)
        assert world.failures == 0
    assert len(steps) > 2, "all came at once: the line was not slow"
    figures(recovery_s=took_s)


@pytest.mark.fault(27)
async def test_pieces_of_a_few_bytes_make_no_difference(database: Database) -> None:
    """Cut into pieces of one to seven bytes from the login on, everything works, and each row arrives once."""
    chance = random.Random(27)
    async with (
        fault_proxy(database.server.host, database.server.port) as proxy,
        trio.open_nursery() as nursery,
    ):

        async def cut_elsewhere() -> None:
            while True:
                proxy.up.slice_bytes, proxy.down.slice_bytes = chance.randint(1, 7), chance.randint(1, 7)
                await trio.sleep(0.002)

        nursery.start_soon(cut_elsewhere)
        async with delivering(database.dsn, via=through(proxy, database.dsn)) as world:
            for _ in range(3):
                await world.wait_arrived(await world.insert(20))
            await world.assert_intact(duplicates=0)
            assert world.failures == 0
        nursery.cancel_scope.cancel()
