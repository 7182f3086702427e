"""The push socket ends, in every way in which a connection can: the route is back at once and no row is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import trio
from msgspec import structs

from tests.faults.delivering import ROUTE
from tests.faults.pushing import BUSY_S, RESTART_MAX_S, Pushing, pushing
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.grafana.push import CLOSE_TIMEOUT_S

Figures = Callable[..., None]
Break = Callable[[Pushing], None]


@pytest.mark.fault(60)
@pytest.mark.parametrize(
    ("how", "action"),
    [
        ("fin", lambda world: world.proxy.cut()),
        ("rst", lambda world: world.proxy.cut(reset=True)),
        ("half_close", lambda world: world.proxy.half_close(towards_server=False)),
    ],
)
async def test_a_connection_that_ends_is_seen_at_once(
    database: Database, figures: Figures, how: str, action: Break
) -> None:
    """FIN, RST or half a FIN, without a close frame: seen in an instant, also while nothing is sent; the rows go on."""
    async with pushing(database.dsn) as world:
        await world.wait_arrived(await world.insert(5))
        began = time.monotonic()
        action(world)
        detection_s = await world.wait_broken("without a close frame", began)
        recovery_s = await world.wait_recovered(await world.insert(5), began)
        await world.assert_intact()
    assert detection_s < 0.1 + BUSY_S
    assert recovery_s < RESTART_MAX_S + BUSY_S
    figures(**{f"{how}_detection_s": detection_s, f"{how}_recovery_s": recovery_s})


@pytest.mark.fault(58, 59)
async def test_a_close_frame_is_answered_by_a_new_connection(database: Database) -> None:
    """Whatever the code, in the middle of rows: its own sentence, a new connection, nothing lost."""
    codes = {
        1000: "in good order (1000",
        1001: "in good order (1001",
        1009: "too large (1009",
        1011: "closed the push socket (1011",
        1012: "in good order (1012",
        1013: "closed the push socket (1013",
        4321: "closed the push socket (4321",
    }
    async with pushing(database.dsn, restart_max_s=0.1) as world:
        for code, words in codes.items():
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(world.insert, 20)
                await world.live.wait_messages(world.live.counters.messages + 1)
                began = time.monotonic()
                await world.live.faults.close(code, "because")
                await world.wait_broken(words, began)
            await world.wait_recovered(await world.insert(), began)
        await world.assert_intact()
        assert world.failures == len(codes)


@pytest.mark.fault(59)
async def test_a_close_by_policy_waits_as_refused_credentials_do(database: Database) -> None:
    """1008 says that somebody must act: half a minute to a minute passes before the next attempt, not a second."""
    async with pushing(database.dsn) as world:
        await world.live.faults.close(1008, "no")
        await world.wait_broken("look at the token", time.monotonic())
        (failed,) = [entry for entry in world.logs if entry["event"] == "route_failed"]
        assert 30 <= failed["retry_in_s"] <= 60
        assert world.live.counters.connections == 1


BROKEN = {
    "reserved bits": b"\xf1\x01x",
    "bad UTF-8": b"\x81\x02\xff\xff",
    "a fragmented ping": b"\x09\x00",
    "a masked frame": b"\x81\x81abcd\x19",
    "a reserved opcode": b"\x83\x00",
    "a continuation of nothing": b"\x80\x00",
    "2 MiB of text": b"\x81\x7f" + (2 << 20).to_bytes(8, "big") + b"x" * (2 << 20),
    "a length of 2^64": b"\x81\x7f" + b"\xff" * 8,
    "another protocol": b"HTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.fault(70)
async def test_a_server_that_breaks_the_protocol_is_left(database: Database) -> None:
    """What no WebSocket server may send ends the connection as a failure of Grafana's, and the next one delivers."""
    async with pushing(database.dsn, restart_max_s=0.1) as world:
        for what, frame in BROKEN.items():
            await world.wait_arrived(await world.insert(5))
            began = time.monotonic()
            # Who hangs up does not read what is still coming: writing 2 MiB does not end.
            with trio.move_on_after(0.2):
                await world.live.faults.send_raw(frame)
            with trio.fail_after(5):
                await world.wait_broken("", began)
            await world.wait_recovered(await world.insert(5), began)
            assert not world.said("route_crashed"), what
        await world.assert_intact()
        assert world.failures == len(BROKEN)


@pytest.mark.fault(71)
async def test_pings_that_cross_our_goodbye_harm_nobody(database: Database) -> None:
    """A server that pings all the time when the bridge stops: the stop is one in good order, and no failure."""
    async with pushing(database.dsn) as world:
        await world.wait_arrived(await world.insert(5))
        await wait_until(lambda: world.service.pending == 0)
        world.live.faults.server_ping_interval_s = 0.001
        await wait_until(lambda: world.live.counters.pongs > 10)
        began = time.monotonic()
    assert time.monotonic() - began < CLOSE_TIMEOUT_S + BUSY_S
    assert not world.said("route_failed")
    assert not world.said("route_crashed")
    assert not world.said("not_drained")


@pytest.mark.fault(72)
async def test_a_goodbye_without_an_answer_takes_two_seconds(database: Database) -> None:
    """Our close frame is never answered: the stop takes 2 s and is one in good order."""
    # Without keyframes nothing is on its way when the stop comes.
    async with pushing(database.dsn, route=structs.replace(ROUTE, history_rows=0)) as world:
        await world.wait_arrived(await world.insert(5))
        await wait_until(lambda: world.service.pending == 0)
        began = time.monotonic()
        world.proxy.black_hole()
    assert CLOSE_TIMEOUT_S <= time.monotonic() - began < CLOSE_TIMEOUT_S + BUSY_S
    assert not world.said("route_failed")
    assert not world.said("not_drained")
