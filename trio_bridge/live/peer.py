"""HTTP/1.1 on a Trio stream: one request at a time, read by h11, with the raw bytes of each kept.

The raw bytes let a request that turns out to be a WebSocket handshake be handed to another protocol unchanged. Owns
nothing; the server opens and closes the stream. Ends when `request` returns None or a request could not be read.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import h11
import trio

_READ_BYTES = 64 * 1024
# Larger than any message a test posts; h11 itself bounds the headers.
_BODY_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A request, its body read.

    Attributes:
        path: percent-decoded segments between slashes.
        query: the first value of each parameter.
        headers: by lower-case name.
        raw: the request as it came in, and whatever came behind it.
    """

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def wants_socket(self) -> bool:
        """Whether this asks for a WebSocket."""
        return self.method == "GET" and self.headers.get("upgrade", "").lower() == "websocket"

    @property
    def has_foreign_origin(self) -> bool:
        """Whether a page of another host sent this."""
        origin = self.headers.get("origin")
        return origin is not None and urlsplit(origin).netloc.lower() != self.headers.get("host", "").lower()

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one if it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


class Peer:
    """The server's side of one HTTP connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._h11 = h11.Connection(h11.SERVER)
        self._raw = bytearray()

    async def request(self) -> Request | None:
        """The next request, or None if the peer is gone or does not speak HTTP (which has been answered)."""
        try:
            return await self._request()
        except h11.RemoteProtocolError as error:
            if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await self.answer(error.error_status_hint, b"", close=True)
            return None

    async def _request(self) -> Request | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                if head is not None and self._h11.they_are_waiting_for_100_continue:
                    await self._send(h11.InformationalResponse(status_code=100, headers=[]))
                data = await self.stream.receive_some(_READ_BYTES)
                self._raw += data
                self._h11.receive_data(data)
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _BODY_LIMIT:
                    raise h11.RemoteProtocolError("body too large", error_status_hint=413)
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                return self._whole(head, bytes(body))
            else:
                return None

    def _whole(self, head: h11.Request, body: bytes) -> Request:
        target = urlsplit(head.target.decode("latin-1"))
        return Request(
            method=head.method.decode("ascii"),
            path=tuple(unquote(segment) for segment in target.path.split("/")[1:]),
            query={name: values[0] for name, values in parse_qs(target.query).items()},
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers},
            body=body,
            raw=bytes(self._raw),
        )

    async def answer(
        self, status: int, body: bytes, content_type: str = "application/json", *, close: bool = False
    ) -> None:
        """Sends a whole answer."""
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
        if close:
            headers.append(("Connection", "close"))
        await self._send(h11.Response(status_code=status, headers=headers))
        await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())

    async def answer_events(self, events: AsyncIterator[str]) -> None:
        """Sends `events` as server-sent events until they end or the peer is gone, then closes them.

        Args:
            events: one line of text each.
        """
        headers = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]
        await self._send(h11.Response(status_code=200, headers=headers))
        try:
            async for event in events:
                await self._send(h11.Data(data=f"data: {event}\n\n".encode()))
        finally:
            # An iterator need not be a generator, but a generator left open is finalized at a time of its own.
            if isinstance(events, AsyncGenerator):
                await events.aclose()
        await self._send(h11.EndOfMessage())

    def next(self) -> bool:
        """Makes ready for another request; False if this connection has had its last."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        behind, _ = self._h11.trailing_data
        self._raw = bytearray(behind)
        self._h11.start_next_cycle()
        return True

    async def _send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if data:
            await self.stream.send_all(data)
