"""What a test or the demo can make the Live stand-in do wrong, switched while it runs.

Attributes are conditions that last until they are switched off; methods act once, on every open push connection.
Assigning an attribute wakes whoever waits on a condition, so a change counts at once. The server attaches a connection
before it accepts it, so whoever has seen its handshake succeed is affected. Nothing here owns or starts a connection;
with every switch off the stand-in behaves like Grafana.
"""

from __future__ import annotations

import contextlib
import http
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import trio


class PushPeer(Protocol):
    """What a fault needs of an open push connection."""

    def cut(self, *, reset: bool) -> None:
        """Ends the TCP connection without a close frame."""

    async def close(self, code: int, reason: str) -> None:
        """Sends a close frame, then ends the TCP connection."""

    async def send_text(self, data: bytes) -> None:
        """Sends a text message."""

    async def send_ping(self, payload: bytes) -> None:
        """Sends a ping."""

    async def send_pong(self, payload: bytes) -> None:
        """Sends a pong."""

    async def send_raw(self, data: bytes) -> None:
        """Writes bytes past the WebSocket protocol."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a push handshake gets instead of an upgrade.

    Attributes:
        raw: the bytes written, e.g. from `answer`; nothing if empty.
        hang: keep the connection open and silent after them, until the peer closes it.
    """

    raw: bytes = b""
    hang: bool = False


def answer(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Refusal:
    """A complete HTTP answer; the length of the body is added to `headers`."""
    lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return Refusal("\r\n".join(lines).encode("latin-1") + body)


@dataclass
class Faults:
    """The switches of one server.

    Attributes:
        refusal: what push handshakes (and POSTs) get instead of their answer; None: the right answer.
        seconds_per_message: how long each message takes to process, s.
        bytes_per_s: how fast a push connection is read, bytes/s.
        stop_reading: a hung Grafana: nothing is read, processed or answered, the connection stays open.
        mute: messages are processed, pings are never answered.
        swallow_pings: so many pings more are read and not answered; counts down.
        drop_in_silence: messages are read and lost, pings are answered.
        fail_publishing: as when the Redis of an HA Grafana is down: the next message ends its connection.
        server_ping_interval_s: between pings of the server, s; None: Grafana's; ``math.inf``: never.
    """

    refusal: Refusal | None = None
    seconds_per_message: float = 0
    bytes_per_s: float = math.inf
    stop_reading: bool = False
    mute: bool = False
    swallow_pings: int = 0
    drop_in_silence: bool = False
    fail_publishing: bool = False
    server_ping_interval_s: float | None = None
    peers: set[PushPeer] = field(default_factory=set, repr=False)
    _change: trio.Event = field(default_factory=trio.Event, init=False, repr=False)

    def __setattr__(self, name: str, value: Any) -> None:
        changed = self.__dict__.get("_change")
        super().__setattr__(name, value)
        if changed is not None and name != "_change":
            self._change = trio.Event()
            changed.set()

    @contextlib.contextmanager
    def attached(self, peer: PushPeer) -> Iterator[None]:
        """`peer` is an open push connection while this is entered."""
        self.peers.add(peer)
        try:
            yield
        finally:
            self.peers.remove(peer)

    def clear(self) -> None:
        """Everything right again."""
        for name, value in vars(Faults()).items():
            if name not in ("peers", "_change"):
                setattr(self, name, value)

    async def wait_change(self) -> None:
        """Returns after the next assignment to any attribute."""
        await self._change.wait()

    async def wait_reading(self) -> None:
        """Returns once the server may read."""
        while self.stop_reading:
            await self.wait_change()

    def takes_ping(self) -> bool:
        """Whether the ping at hand is swallowed instead of answered; counts `swallow_pings` down."""
        if self.swallow_pings > 0:
            self.swallow_pings -= 1
            return True
        return self.mute

    def cut(self, *, reset: bool = False) -> None:
        """Ends all push connections without a close frame: by FIN, or by RST if `reset`."""
        for peer in list(self.peers):
            peer.cut(reset=reset)

    async def close(self, code: int, reason: str = "") -> None:
        """Ends all push connections with a close frame."""
        for peer in list(self.peers):
            await peer.close(code, reason)

    async def send_text(self, text: str) -> None:
        """Sends a message nobody expects."""
        for peer in list(self.peers):
            await peer.send_text(text.encode())

    async def send_raw(self, data: bytes) -> None:
        """Writes bytes past the protocol, e.g. a frame with reserved bits."""
        for peer in list(self.peers):
            await peer.send_raw(data)

    async def send_pong(self, payload: bytes) -> None:
        """Sends a pong nobody asked for."""
        for peer in list(self.peers):
            await peer.send_pong(payload)

    async def flood_pings(self, count: int) -> None:
        """Sends `count` pings in a row."""
        for peer in list(self.peers):
            for number in range(count):
                await peer.send_ping(number.to_bytes(4, "big"))
