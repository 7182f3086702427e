"""The browser's socket: centrifuge protocol version 2 in JSON, as much of it as a subscriber to streams needs.

Commands and replies are JSON objects, separated by newlines. The reply to a subscription carries the cached frame as
`data`; publications follow as pushes. The server's ping is ``{}`` and wants ``{}`` back. A subscriber never slows a
pusher down: publications go into its own queue, and one that lags by 1 MiB is disconnected with 3008.

One task reads, one writes, one pings; nothing else writes to the socket, so what is queued leaves in its order, and the
writer sends as soon as the scheduler turns to it. Runs until the connection ends; the server owns the stream.
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from typing import Any

import trio

from trio_bridge.live.channels import Channels, is_subscribable
from trio_bridge.live.sockets import Message, Ping, Pong, Socket

_READ_BYTES = 16 * 1024
_LAG_LIMIT_BYTES = 1024 * 1024
_CHANNEL_LIMIT = 255
_PONG_LIMIT_S = 8.0

_NO_PONG = 3012
_SLOW = 3008
_BAD_REQUEST = 3501

_ERROR_BAD_REQUEST = {"code": 107, "message": "bad request"}
_ERROR_NOT_FOUND = {"code": 104, "message": "method not found"}
_ERROR_ALREADY = {"code": 105, "message": "already subscribed"}
_ERROR_INVALID_CHANNEL = {"code": 400, "message": "invalid channel ID"}


class _Disconnect(Exception):
    """Ends the connection with a code of centrifuge."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class SubscriberConnection:
    """One accepted subscriber socket.

    Args:
        prefixes: what may stand before a channel's name for this organisation, e.g. ``("1/",)``.
        ping_interval_s: between pings of the server, s.
    """

    def __init__(
        self, socket: Socket, channels: Channels, *, prefixes: tuple[str, ...], ping_interval_s: float
    ) -> None:
        self._socket = socket
        self._channels = channels
        self._prefixes = prefixes
        self._ping_interval_s = ping_interval_s
        # By the name without prefix: the name that the client used.
        self._names: dict[str, str] = {}
        self._connected = trio.Event()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._more = trio.Event()
        self._pong_missing = False

    async def run(self, events: list[Message | Ping | Pong]) -> None:
        """Handles `events`, which came with the handshake, then reads until the connection ends."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                nursery.start_soon(self._ping)
                await self._read(events)
                nursery.cancel_scope.cancel()
        except* _Disconnect as group:
            for error in group.exceptions:
                if isinstance(error, _Disconnect):
                    await self._socket.close(error.code, error.reason)
        finally:
            for name in self._names:
                self._channels.unsubscribe(name, self)

    def publish(self, channel: str, frame_json: bytes) -> None:
        """Queues one publication for the writer."""
        name = json.dumps(self._names[channel]).encode()
        self._enqueue(b'{"push":{"channel":' + name + b',"pub":{"data":' + frame_json + b"}}}")

    def _enqueue(self, data: bytes) -> None:
        # Who lags is about to be disconnected by the writer: nothing more is kept for it.
        if self._queued_bytes <= _LAG_LIMIT_BYTES:
            self._queue.append(data)
            self._queued_bytes += len(data)
            self._more.set()

    async def _read(self, events: list[Message | Ping | Pong]) -> None:
        while True:
            for event in events:
                if isinstance(event, Message):
                    self._commands(event.data)
                elif isinstance(event, Ping):
                    await self._socket.send_pong(event.payload)
            if self._socket.closed:
                return
            events = await self._socket.receive(_READ_BYTES)

    def _commands(self, data: bytes) -> None:
        for line in data.split(b"\n"):
            if not line.strip():
                continue
            try:
                command = json.loads(line)
            except ValueError:
                raise _Disconnect(_BAD_REQUEST, "bad request") from None
            if command == {}:
                self._pong_missing = False
            elif isinstance(command, dict) and isinstance(command.get("id"), int):
                reply = self._reply(command)
                self._enqueue(b'{"id":%d,' % command["id"] + reply + b"}")
            else:
                raise _Disconnect(_BAD_REQUEST, "bad request")

    def _reply(self, command: dict[str, Any]) -> bytes:
        """The reply's JSON without its braces and id."""
        if "connect" in command and not self._connected.is_set():
            self._connected.set()
            return _member(
                "connect",
                {"client": secrets.token_hex(16), "ping": int(self._ping_interval_s), "pong": True},
            )
        if not self._connected.is_set() or "connect" in command:
            raise _Disconnect(_BAD_REQUEST, "bad request")
        if "subscribe" in command:
            return self._subscribe(command["subscribe"])
        if "unsubscribe" in command:
            name = self._name(command["unsubscribe"])
            if name is not None and self._names.pop(name, None) is not None:
                self._channels.unsubscribe(name, self)
            return _member("unsubscribe", {})
        return _member("error", _ERROR_NOT_FOUND)

    def _subscribe(self, request: Any) -> bytes:
        channel = request.get("channel") if isinstance(request, dict) else None
        if not isinstance(channel, str) or not 0 < len(channel.encode("utf-8", "replace")) <= _CHANNEL_LIMIT:
            return _member("error", _ERROR_BAD_REQUEST)
        name = self._name(request)
        if name is None or not is_subscribable(name):
            return _member("error", _ERROR_INVALID_CHANNEL)
        if name in self._names:
            return _member("error", _ERROR_ALREADY)
        self._names[name] = channel
        cached = self._channels.subscribe(name, self)
        return b'"subscribe":{}' if cached is None else b'"subscribe":{"data":' + cached + b"}"

    def _name(self, request: Any) -> str | None:
        """The channel's name without the organisation's prefix; None if it is another organisation's."""
        channel = request.get("channel") if isinstance(request, dict) else None
        for prefix in self._prefixes:
            if isinstance(channel, str) and channel.startswith(prefix):
                return channel.removeprefix(prefix)
        return None

    async def _write(self) -> None:
        while True:
            await self._more.wait()
            self._more = trio.Event()
            while self._queue:
                if self._queued_bytes > _LAG_LIMIT_BYTES:
                    raise _Disconnect(_SLOW, "slow")
                data = self._queue.popleft()
                self._queued_bytes -= len(data)
                await self._socket.send_text(data)

    async def _ping(self) -> None:
        await self._connected.wait()
        pong_limit_s = min(_PONG_LIMIT_S, self._ping_interval_s / 2)
        await trio.sleep(self._ping_interval_s)
        while True:
            self._pong_missing = True
            self._enqueue(b"{}")
            await trio.sleep(pong_limit_s)
            if self._pong_missing:
                raise _Disconnect(_NO_PONG, "no pong")
            await trio.sleep(self._ping_interval_s - pong_limit_s)


def _member(name: str, value: dict[str, Any]) -> bytes:
    return f'"{name}":{json.dumps(value)}'.encode()
