"""What the tests of the stand-in talk to it with: a pusher and a subscriber on trio-websocket, and HTTP by httpx."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio
import trio_websocket
from trio_websocket import WebSocketConnection
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.uri import parse_uri

from trio_bridge.live import LiveServer


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


def basic(user: str, password: str) -> dict[str, str]:
    """The header of a user."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@asynccontextmanager
async def websocket(
    live: LiveServer, path: str, headers: dict[str, str], **options: Any
) -> AsyncIterator[WebSocketConnection]:
    """An open socket; refused handshakes raise ConnectionRejected.

    The stream is ours: trio-websocket leaves its own one open when the handshake is refused.
    """
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    async with await trio.open_tcp_stream("127.0.0.1", live.port) as stream, trio.open_nursery() as nursery:
        host = f"127.0.0.1:{live.port}"
        connection = await trio_websocket.wrap_client_stream(
            nursery, stream, host, path, extra_headers=extra, **options
        )
        async with connection:
            yield connection


@asynccontextmanager
async def pusher(live: LiveServer, stream: str = "pg", query: str = "") -> AsyncIterator[WebSocketConnection]:
    """An open push socket with the server's own token."""
    async with websocket(live, f"/api/live/push/{stream}{query}", bearer(live.token)) as connection:
        yield connection


class Subscriber:
    """A subscriber's socket: replies and publications, one JSON object at a time."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.connection = connection
        self._lines: list[str] = []
        self._id = 0

    async def command(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Sends a command and returns the reply to it."""
        self._id += 1
        await self.connection.send_message(json.dumps({"id": self._id, name: body}))
        reply = await self.receive()
        assert reply["id"] == self._id
        return reply

    async def subscribe(self, channel: str) -> dict[str, Any]:
        return await self.command("subscribe", {"channel": channel})

    async def receive(self) -> dict[str, Any]:
        """The next object the server sends."""
        while not self._lines:
            message = await self.connection.get_message()
            assert isinstance(message, str)
            self._lines = message.split("\n")
        value: dict[str, Any] = json.loads(self._lines.pop(0))
        return value

    async def publication(self) -> tuple[str, dict[str, Any]]:
        """The next publication: its channel and its frame."""
        push = (await self.receive())["push"]
        return push["channel"], push["pub"]["data"]


@asynccontextmanager
async def subscriber(live: LiveServer) -> AsyncIterator[Subscriber]:
    """A subscriber that has said hello."""
    async with websocket(live, "/api/live/ws", bearer(live.token)) as connection:
        subscriber = Subscriber(connection)
        assert "connect" in await subscriber.command("connect", {"name": "test"})
        yield subscriber


@asynccontextmanager
async def http(live: LiveServer, headers: dict[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client; without `headers` nobody in particular."""
    async with httpx.AsyncClient(base_url=live.url, headers=headers) as client:
        yield client


async def raw_websocket(live: LiveServer, path: str) -> tuple[trio.SocketStream, ClientProtocol]:
    """A client whose every frame the test writes itself."""
    protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{live.port}{path}"))
    stream = await trio.open_tcp_stream("127.0.0.1", live.port)
    request = protocol.connect()
    request.headers.update(bearer(live.token))
    protocol.send_request(request)
    await flush(stream, protocol)
    while not (events := protocol.events_received()):
        protocol.receive_data(await stream.receive_some())
    assert protocol.handshake_exc is None, events
    return stream, protocol


async def flush(stream: trio.SocketStream, protocol: ClientProtocol) -> None:
    """Sends what the protocol has written."""
    for data in protocol.data_to_send():
        await stream.send_all(data)


async def read_frame(stream: trio.SocketStream, protocol: ClientProtocol) -> Frame:
    """The next frame; more than one at a time is an error of the test."""
    while not (events := protocol.events_received()):
        protocol.receive_data(await stream.receive_some())
    [frame] = events
    assert isinstance(frame, Frame)
    return frame
