"""Clients of the status that mean no good: they cost a bounded number of sockets, and no row waits for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import trio

from tests.faults.processes import BUSY, bridge_process, status_url, wait_connected, wait_fact
from tests.faults.readings import readings
from tests.pg import Database
from trio_bridge.web.serve import IDLE_S, MAX_CONNECTIONS

# Whole processes, on processors that others use too.
pytestmark = pytest.mark.deadline(90)

LATE_S = 3.0
"""A row takes 0.2 s, with the pace, the delta and the socket; the rest is for a machine that others use too."""

Attack = Callable[[trio.SocketStream], Awaitable[None]]


async def slowloris(stream: trio.SocketStream) -> None:
    """A request that never ends."""
    await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
    while True:
        await stream.send_all(b"X")
        await trio.sleep(0.1)


async def huge_request(stream: trio.SocketStream) -> None:
    """A megabyte of path."""
    await stream.send_all(b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    await stream.receive_some(1)


async def deaf_scraper(stream: trio.SocketStream) -> None:
    """Asks for page after page and reads none."""
    while True:
        await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")


async def come_and_go(stream: trio.SocketStream) -> None:
    """Wants nothing."""
    await stream.send_eof()


@pytest.mark.fault(120)
@pytest.mark.deadline(900)
@pytest.mark.timeout(960)
async def test_hostile_clients_of_the_status(
    database: Database, tmp_path: Path, figures: Callable[..., None], full_length: bool
) -> None:
    """Slow ones, deaf ones, hundreds that come and go: rows arrive as ever, files and memory are bounded."""
    visits = 10_000 if full_length else 400
    visited = 0
    async with (
        readings(database.dsn) as world,
        bridge_process(world, tmp_path, http_listen="127.0.0.1:0") as bridge,
    ):
        await wait_connected(world, bridge)
        await world.wait_arrived(*world.insert())
        url = status_url(bridge)
        port = int(url.rpartition(":")[2])
        files, rss_kib = bridge.open_files(), bridge.rss_kib()
        most_files = slowest_s = 0.0

        async def attack(how: Attack) -> None:
            """Again whenever it is cut."""
            nonlocal visited
            while True:
                with suppress(trio.BrokenResourceError):
                    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                        visited += 1
                        await how(stream)
                await trio.sleep(0.01)

        async with trio.open_nursery() as attackers:
            for how, many in ((slowloris, 40), (deaf_scraper, 4), (huge_request, 2), (come_and_go, 8)):
                for _ in range(many):
                    attackers.start_soon(attack, how)
            while visited < visits:
                began = trio.current_time()
                await world.wait_arrived(*world.insert())
                slowest_s = max(slowest_s, trio.current_time() - began)
                most_files = max(most_files, bridge.open_files())
            attackers.cancel_scope.cancel()
        assert slowest_s < LATE_S
        assert most_files <= files + MAX_CONNECTIONS + 1
        grown_kib = bridge.rss_kib() - rss_kib
        assert grown_kib < 64 * 1024
        # What they asked for and do not want any more is not worked off; those that only idle may do so for a while.
        with trio.fail_after(IDLE_S + 2 * BUSY):
            await wait_fact(bridge, lambda: bridge.open_files() == files)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/livez")).status_code == 200
            assert (await client.get(f"{url}/readyz")).status_code == 200
        assert world.live.counters.connections == 1
        assert await bridge.terminate() == 0
    figures(
        visits=visits,
        slowest_row_s=slowest_s,
        most_open_files=most_files,
        memory_grown_mib=grown_kib / 1024,
    )
