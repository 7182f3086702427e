"""The push socket stays open and something is missing or too much: pongs, pings, packets, an hour of the wall clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest
import trio

import trio_bridge.sender.stage
from tests.faults.proxy import FaultProxy
from tests.faults.pushing import BUSY_S, RESTART_MAX_S, pushing
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.sender.stage import KEEPALIVE_S

Figures = Callable[..., None]

ACK_TIMEOUT_S = GrafanaSettings(url="http://grafana:3000").ack_timeout_s
"""By default."""


@pytest.mark.fault(61)
@pytest.mark.deadline(60)
@pytest.mark.parametrize("direction", ["down", "up"])
async def test_a_silent_grafana_is_given_up_in_time(
    database: Database, figures: Figures, full_length: bool, direction: str
) -> None:
    """Packets vanish in one direction: given up after the time that an answer may take, and the rows go on."""
    ack_timeout_s = ACK_TIMEOUT_S if full_length else 1.0
    async with pushing(database.dsn, ack_timeout_s=ack_timeout_s, connect_timeout_s=1.0) as world:
        await world.wait_arrived(await world.insert(5))
        world.proxy.black_hole(up=direction == "up", down=direction == "down")
        began = time.monotonic()
        gap = await world.insert(5)
        detection_s = await world.wait_broken(f"not answered a ping for {ack_timeout_s:g} s", began)
        world.proxy.heal()
        healed = time.monotonic()
        recovery_s = await world.wait_recovered([*gap, *await world.insert()], healed)
        await world.assert_intact()
    assert ack_timeout_s <= detection_s < ack_timeout_s + BUSY_S
    # The attempt under way when the line heals may have been swallowed: it ends at its own deadline.
    assert recovery_s < 1.0 + RESTART_MAX_S + BUSY_S
    if full_length:
        figures(**{f"{direction}_detection_s": detection_s, f"{direction}_recovery_s": recovery_s})


@pytest.mark.fault(61)
@pytest.mark.deadline(60)
async def test_a_silent_grafana_is_given_up_while_nothing_is_sent(
    database: Database, figures: Figures, full_length: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle socket is asked every 10 s, so that the next row meets no dead one: given up when no answer comes."""
    ack_timeout_s = ACK_TIMEOUT_S if full_length else 1.0
    keepalive_s = KEEPALIVE_S if full_length else 0.5
    monkeypatch.setattr(trio_bridge.sender.stage, "KEEPALIVE_S", keepalive_s)
    async with pushing(database.dsn, ack_timeout_s=ack_timeout_s, connect_timeout_s=1.0) as world:
        world.proxy.black_hole()
        began = time.monotonic()
        detection_s = await world.wait_broken("not answered a ping", began)
        world.proxy.heal()
        await world.wait_recovered(await world.insert(), time.monotonic())
        await world.assert_intact(duplicates=0)
    assert detection_s < keepalive_s + ack_timeout_s + BUSY_S
    if full_length:
        figures(idle_detection_s=detection_s)


@pytest.mark.fault(62)
async def test_a_lost_pong_costs_no_connection(database: Database, figures: Figures) -> None:
    """One pong that never comes is asked for again at half the time, and all is acknowledged on the same socket."""
    async with pushing(database.dsn, ack_timeout_s=2.0) as world:
        world.live.faults.swallow_pings = 1
        began = time.monotonic()
        await world.wait_arrived(await world.insert(5))
        await wait_until(lambda: world.live.faults.swallow_pings == 0 and world.service.pending == 0)
        acknowledged_s = time.monotonic() - began
        await world.assert_intact(duplicates=0)
        assert (world.failures, world.live.counters.connections) == (0, 1)
    assert acknowledged_s < 2.0
    figures(acknowledged_s=acknowledged_s)


@pytest.mark.fault(65, 69)
async def test_a_flood_of_pings_and_messages_slows_nothing_down(database: Database, figures: Figures) -> None:
    """A ping every millisecond is answered, messages that nobody expects are read: rows arrive on the same socket."""
    async with pushing(database.dsn) as world:
        world.live.faults.server_ping_interval_s = 0.001
        began = time.monotonic()
        for number in range(4):
            await world.live.faults.send_text(f"hello {number}")
            await world.wait_arrived(await world.insert(100))
        took_s = time.monotonic() - began
        await wait_until(lambda: world.live.counters.pongs > 200)
        await world.assert_intact(duplicates=0)
        assert (world.failures, world.live.counters.connections) == (0, 1)
        assert len(world.said("grafana_sent_a_message")) == 1
    figures(rows_per_s=400 / took_s)


@pytest.mark.fault(64, 73)
@pytest.mark.deadline(200)
async def test_a_proxy_that_cuts_what_is_idle_finds_nothing_idle(
    database: Database, full_length: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that never pings, behind a proxy that cuts after 60 s of silence: an idle socket stays open."""
    scale = 1.0 if full_length else 0.02
    monkeypatch.setattr(trio_bridge.sender.stage, "KEEPALIVE_S", KEEPALIVE_S * scale)
    async with (
        pushing(database.dsn, live_options={"ping_interval_s": math.inf}) as world,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(cut_what_is_idle, world.proxy, 60 * scale)
        await trio.sleep(150 * scale)
        await world.wait_arrived(await world.insert())
        assert (world.failures, world.live.counters.connections) == (0, 1)
        nursery.cancel_scope.cancel()


async def cut_what_is_idle(proxy: FaultProxy, limit_s: float) -> None:
    """As nginx does: a connection on which the server has sent nothing for `limit_s`."""
    while True:
        passed = proxy.down.bytes_passed
        with trio.move_on_after(limit_s) as silence:
            await wait_until(lambda passed=passed: proxy.down.bytes_passed != passed)  # type: ignore[misc]
        if silence.cancelled_caught:
            proxy.cut()


@pytest.mark.fault(75)
@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
async def test_the_wall_clock_may_jump(
    database: Database, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    """An hour forward or back: no deadline fires, nothing waits, and rows keep the times that they were given."""
    async with pushing(database.dsn) as world:
        await world.wait_arrived(await world.insert(5))
        wall, wall_ns = time.time, time.time_ns
        monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
        monkeypatch.setattr(time, "time_ns", lambda: wall_ns() + int(jump_s * 1e9))
        for _ in range(5):
            began = time.monotonic()
            await world.wait_arrived(await world.insert(5))
            assert time.monotonic() - began < 1.0 + BUSY_S
            await trio.sleep(0.1)
        # Times are compared here too: `altered` counts a row that arrived with another.
        await world.assert_intact(duplicates=0)
        assert (world.failures, world.live.counters.connections) == (0, 1)
