"""The Grafana under test, real or stand-in, seen from outside: HTTP, both sockets, accounts that are made for a test.

Everything a test does here goes through Grafana's public interface, so that a test cannot tell which one it has. Each
stream id is new, because a real Grafana keeps the last frame of every channel. What a test makes in Grafana is noted in
`Target.made`; in a real one it is deleted at the end.
"""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import string
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import trio
import trio_websocket
from trio_websocket import ConnectionRejected, WebSocketConnection

from tests.contract.versions import STAND_IN_MAJOR
from tests.live.clients import Subscriber

Headers = dict[str, str]


def bearer(token: str) -> Headers:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


def basic(user: str, password: str) -> Headers:
    """The header of a user."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def fresh_stream() -> str:
    """A stream id that nobody has used, as long as those of the vectors: a channel's name has a limit."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(5))


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """One that was made for a test."""

    id: int
    name: str
    token: str
    token_id: int


@dataclass
class Target:
    """A Grafana that runs.

    Attributes:
        url: its root.
        admin: the header of a user who may do everything.
        ping_interval_s: between two pings of the server, s.
        cut_after_s: without a pong for so long a push socket is cut, s.
        major: the version that it behaves as.
        prefix: what stands before a channel's name for organisation 1.
        anonymous: whether a visitor without credentials is let in.
        made: paths of what was made in it and is to be deleted.
    """

    url: str
    admin: Headers
    ping_interval_s: float
    cut_after_s: float
    major: int = STAND_IN_MAJOR
    prefix: str = "1/"
    anonymous: bool = False
    made: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def http(self, headers: Headers | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """An HTTP client; without `headers` nobody in particular."""
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20) as client:
            yield client

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """One request of the administrator's."""
        async with self.http(self.admin) as client:
            return await client.request(method, path, json=body, **options)

    async def post(self, stream: str, content: bytes | str, headers: Headers | None, query: str = "") -> int:
        """Posts a message; the status."""
        async with self.http(headers) as client:
            return (await client.post(f"/api/live/push/{stream}{query}", content=content)).status_code

    @asynccontextmanager
    async def socket(
        self, path: str, headers: Headers | None, **options: Any
    ) -> AsyncIterator[WebSocketConnection]:
        """An open socket; a refused handshake raises ConnectionRejected.

        The stream is ours: trio-websocket leaves its own one open when the handshake is refused.
        """
        url = urlsplit(self.url)
        extra = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        stream = await _open_stream(url.scheme, url.hostname or "", url.port)
        async with stream, trio.open_nursery() as nursery:
            connection = await trio_websocket.wrap_client_stream(
                nursery, stream, url.netloc, url.path.rstrip("/") + path, extra_headers=extra, **options
            )
            async with connection:
                yield connection

    async def status_of_socket(self, path: str, headers: Headers | None) -> int:
        """The status of a handshake; 101: it succeeded."""
        status = 101
        try:
            async with self.socket(path, headers):
                pass
        except* ConnectionRejected as group:
            [refused] = _leaves(group)
            status = refused.status_code
        return status

    @asynccontextmanager
    async def pusher(self, stream: str, query: str = "") -> AsyncIterator[WebSocketConnection]:
        """An open push socket of the administrator's."""
        async with self.socket(f"/api/live/push/{stream}{query}", self.admin) as connection:
            yield connection

    @asynccontextmanager
    async def subscriber(self) -> AsyncIterator[Subscriber]:
        """A subscriber that has said hello."""
        async with self.socket("/api/live/ws", self.admin) as connection:
            subscriber = Subscriber(connection)
            assert "connect" in await subscriber.command("connect", {"name": "contract"})
            yield subscriber

    async def account(self, role: str) -> ServiceAccount:
        """A new service account with a token."""
        name = f"trio-bridge-contract-{secrets.token_hex(6)}"
        made = await self.ask("POST", "/api/serviceaccounts", {"name": name, "role": role})
        assert made.status_code == 201, made.text
        account_id = made.json()["id"]
        self.made.append(f"/api/serviceaccounts/{account_id}")
        token = await self.ask("POST", f"/api/serviceaccounts/{account_id}/tokens", {"name": name})
        assert token.status_code == 200, token.text
        return ServiceAccount(account_id, name, token.json()["key"], token.json()["id"])

    async def look(self) -> None:
        """Learns the version, the prefix and whether anonymous visitors are let in."""
        version = str((await self.ask("GET", "/api/health")).json()["version"])
        if version[:1].isdigit():
            self.major = int(version.partition(".")[0])
        settings = (await self.ask("GET", "/api/frontend/settings")).json()
        self.prefix = "default/" if settings.get("liveNamespaced") else "1/"
        async with self.http() as nobody:
            self.anonymous = (await nobody.get("/api/live/list")).status_code == 200

    async def delete_made(self) -> None:
        """Deletes what was made in it."""
        for path in self.made:
            answer = await self.ask("DELETE", path)
            assert answer.status_code == 200, answer.text


async def publications(browser: Subscriber, count: int) -> list[dict[str, Any]]:
    """The next frames of all channels together."""
    return [(await browser.publication())[1] for _ in range(count)]


def schema_names(frame: dict[str, Any]) -> list[str]:
    """The columns of a frame that came with its schema."""
    return [column["name"] for column in frame["schema"]["fields"]]


def values(frame: dict[str, Any]) -> list[list[Any]]:
    """The cells of a frame, by column."""
    cells: list[list[Any]] = json.loads(json.dumps(frame["data"]["values"]))
    return cells


async def _open_stream(
    scheme: str, host: str, port: int | None
) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
    if scheme == "https":
        context = ssl.create_default_context()
        return await trio.open_ssl_over_tcp_stream(
            host, port or 443, ssl_context=context, https_compatible=True
        )
    return await trio.open_tcp_stream(host, port or 80)


def _leaves(group: BaseExceptionGroup[Any]) -> list[Any]:
    found: list[Any] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
