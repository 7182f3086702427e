"""The server as a whole: start, restart, end."""

from __future__ import annotations

import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.live.clients import bearer, http, pusher, raw_websocket, subscriber
from trio_bridge.live import LiveServer


async def test_a_restart_ends_connections_and_forgets_channels() -> None:
    """Sockets see a plain end of stream, the cache is empty, the same port and token work again."""
    async with LiveServer() as live:
        url = live.url
        async with pusher(live) as push:
            await push.send_message("m v=1 5")
            await push.ping()
        async with subscriber(live) as browser:
            assert "data" in (await browser.subscribe("1/stream/pg/m"))["subscribe"]
            stream, _ = await raw_websocket(live, "/api/live/push/pg")
            async with stream:
                await live.restart()
                assert await stream.receive_some() == b""
            with pytest.raises(ConnectionClosed):
                await browser.receive()
        assert live.url == url
        async with subscriber(live) as browser:
            assert (await browser.subscribe("1/stream/pg/m"))["subscribe"] == {}
        async with http(live, bearer(live.token)) as client:
            assert (await client.get("/api/live/list")).json() == {"channels": []}


async def test_connections_are_refused_while_it_is_down() -> None:
    """Between going down and coming up the port is closed."""
    async with LiveServer() as live, trio.open_nursery() as nursery:
        stream, _ = await raw_websocket(live, "/api/live/push/pg")
        async with stream:
            nursery.start_soon(live.restart, 0.2)
            assert await stream.receive_some() == b""
        with pytest.raises(OSError, match="all attempts"):
            await trio.open_tcp_stream("127.0.0.1", live.port)


async def test_it_restarts_again_and_again() -> None:
    """Each restart is complete, and counters go on."""
    async with LiveServer() as live:
        for number in range(1, 6):
            async with pusher(live) as push:
                await push.send_message("m v=1 5")
                await live.wait_messages(number)
            await live.restart()
        assert live.counters.connections == 5


async def test_a_hung_server_can_be_restarted() -> None:
    """Neither unread data nor a switched-on fault keeps a restart from ending."""
    async with LiveServer() as live, pusher(live) as push:
        await live.wait_connections(1)
        live.faults.stop_reading = True
        for _ in range(10):
            await push.send_message("m v=1 5")
        await live.restart()
        with pytest.raises(ConnectionClosed):
            await push.get_message()


async def test_serve_reports_where_it_listens() -> None:
    """As a task of another nursery it starts with its URL and ends with that nursery."""
    live = LiveServer()
    async with trio.open_nursery() as nursery:
        assert await nursery.start(live.serve) == live.url
        async with http(live) as client:
            assert (await client.get("/api/health")).status_code == 200
        nursery.cancel_scope.cancel()
    with pytest.raises(OSError, match="all attempts"):
        await trio.open_tcp_stream("127.0.0.1", live.port)


async def test_two_servers_share_nothing() -> None:
    """Each has its own token, port and channels."""
    async with LiveServer() as one, LiveServer() as two, http(two, bearer(one.token)) as client:
        assert one.url != two.url
        assert (await client.post("/api/live/push/pg", content=b"m v=1 5")).status_code == 500
