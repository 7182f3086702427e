"""The HTTP server among hostile clients and at its end: bounded, out of the way, and quickly gone."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from functools import partial

import httpx
import pytest
import structlog
import trio
from structlog.testing import capture_logs

from tests.pg import Database
from tests.waiting import wait_until
from tests.web.serving import TABLE, TABLE_ROUTE, resting, serving
from trio_bridge.config.listen import Listen
from trio_bridge.errors import ConfigError
from trio_bridge.live.server import LiveServer
from trio_bridge.service import run_service
from trio_bridge.web import app, serve
from trio_bridge.web.app import serve_status
from trio_bridge.web.serve import MAX_CONNECTIONS, open_socket


@asynccontextmanager
async def status() -> AsyncIterator[int]:
    """The status of a route that never ran; yields the port."""
    ended = trio.Event()
    start = partial(serve_status, log=structlog.get_logger())
    async with trio.open_nursery() as nursery:
        url: str = await nursery.start(
            start, resting(TABLE_ROUTE), trio.Event(), ended, Listen("127.0.0.1", 0)
        )
        yield int(url.rpartition(":")[2])
        ended.set()


async def ask(port: int, path: str = "/livez") -> int:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{port}{path}")).status_code


async def wait_cut(stream: trio.SocketStream) -> bytes:
    """All that comes until the other side ends the connection."""
    received = b""
    with suppress(trio.BrokenResourceError):
        while chunk := await stream.receive_some(65_536):
            received += chunk
    return received


def test_a_port_in_use_is_one_sentence() -> None:
    """It says which address, and which key to change."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            open_socket(Listen("127.0.0.1", port))
    assert "\n" not in str(caught.value)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "TRIO_BRIDGE_HTTP_LISTEN" in str(caught.value)


def test_an_address_of_somebody_else_is_one_sentence() -> None:
    """An address that this machine does not have says so."""
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:1: .*TRIO_BRIDGE_HTTP_LISTEN"):
        open_socket(Listen("192.0.2.1", 1))


@pytest.mark.fault(119)
async def test_a_port_in_use_ends_the_start(database: Database) -> None:
    """The service does not begin to deliver when it cannot serve its status, and says why in one `ConfigError`."""
    from msgspec import structs

    from tests.chaos.bridges import settings_for
    from trio_bridge.config.settings import HttpSettings

    async with LiveServer() as live:
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            settings = structs.replace(
                settings_for(database.dsn, live, TABLE_ROUTE),
                http=HttpSettings(listen=f"127.0.0.1:{taken.getsockname()[1]}"),
            )
            with pytest.raises(ConfigError, match="TRIO_BRIDGE_HTTP_LISTEN"):
                await run_service(settings)
        assert live.counters.connections == 0


@pytest.mark.parametrize(
    "sent", [b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 9000]
)
@pytest.mark.fault(120)
async def test_a_request_that_never_ends_is_cut(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """A client that sends its request byte by byte or not at all is cut; others are served meanwhile."""
    monkeypatch.setattr(serve, "IDLE_S", 0.3)
    async with status() as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(sent) if sent else None
        assert await ask(port) == 200
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                with suppress(trio.BrokenResourceError):
                    while True:
                        await stream.send_all(b"x")
                        await trio.sleep(0.05)

            if sent:
                nursery.start_soon(drip)
            assert await wait_cut(stream) == b""
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < 3
        await stream.aclose()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000,
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: upgrade\r\nHTTP2-Settings: !\r\n\r\n",
        b"GET /events HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense nonsense nonsense",
    ],
)
@pytest.mark.fault(120)
async def test_nonsense_harms_nobody_else(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """Whatever bytes come, their connection ends and the next client is served."""
    monkeypatch.setattr(serve, "IDLE_S", 0.3)
    async with status() as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        with suppress(trio.BrokenResourceError):
            await stream.send_all(sent)
        await wait_cut(stream)
        await stream.aclose()
        assert await ask(port) == 200


@pytest.mark.fault(120)
async def test_many_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection more than the bound is closed at once; when the idle ones have been cut, there is room again."""
    monkeypatch.setattr(serve, "IDLE_S", 0.5)
    async with status() as port:
        held = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(MAX_CONNECTIONS)]
        more = await trio.open_tcp_stream("127.0.0.1", port)
        began = trio.current_time()
        assert await wait_cut(more) == b""
        assert trio.current_time() - began < 0.4
        for stream in held:
            assert await wait_cut(stream) == b""
        assert await ask(port) == 200
        for stream in (*held, more):
            await stream.aclose()


async def test_pages_that_watch_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The streams of events that are too many get 503, so that they leave room for probes; one that goes makes room."""
    monkeypatch.setattr(app, "MAX_EVENT_STREAMS", 2)
    async with status() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        async with client.stream("GET", "/events") as first, client.stream("GET", "/events") as second:
            assert (first.status_code, second.status_code) == (200, 200)
            assert (await client.get("/events")).status_code == 503
            assert (await client.get("/readyz")).status_code == 503
        while True:
            async with client.stream("GET", "/events") as again:
                if again.status_code == 200:
                    break


async def test_events_come_every_second_and_end_before_the_service(database: Database) -> None:
    """A page gets one moment after the other, and a service that stops ends them, politely and at once."""
    moments = []
    async with LiveServer() as live, trio.open_nursery() as nursery:
        async with serving(database, live) as (service, client):

            async def watch() -> None:
                async with (
                    httpx.AsyncClient(base_url=service.url or "") as page,
                    page.stream("GET", "/events") as events,
                ):
                    assert events.headers["content-type"].startswith("text/event-stream")
                    async for line in events.aiter_lines():
                        moments.extend([json.loads(line.removeprefix("data: "))] if line else [])

            nursery.start_soon(watch)
            await live.wait_connections(1)
            database.execute(f"INSERT INTO {TABLE} (value) VALUES (1)")
            await wait_until(lambda: bool(moments) and moments[-1]["routes"][0]["acknowledged"] == 1)
            await client.get("/livez")
            began = trio.current_time()
        assert trio.current_time() - began < 2
    assert len(moments) >= 2


async def test_a_client_that_does_not_read_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """While an answer cannot be written others are served, and the end of the service cuts it in a second."""
    body = b"x" * 50_000_000
    monkeypatch.setattr(app, "load_page", lambda: {"/": ("text/plain", body)})
    with capture_logs() as logs:
        async with status() as port:
            # With a small receive buffer the answer gets stuck.
            raw = trio.socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await raw.connect(("127.0.0.1", port))
            await raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert await ask(port) == 200
            began = trio.current_time()
        assert trio.current_time() - began < 1.5
        raw.close()
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


@pytest.mark.fault(120)
async def test_a_client_that_does_not_read_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not keep its connection for longer than the limit."""
    monkeypatch.setattr(serve, "IDLE_S", 0.3)
    monkeypatch.setattr(app, "load_page", lambda: {"/": ("text/plain", b"x" * 50_000_000)})
    async with status() as port:
        raw = trio.socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await raw.connect(("127.0.0.1", port))
        await raw.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await trio.sleep(1.0)
        async with trio.SocketStream(raw) as stream:
            assert len(await wait_cut(stream)) < 50_000_000
