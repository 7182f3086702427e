"""A subscriber as a browser is one: the socket ``/api/live/ws``, a channel, its publications.

The protocol is centrifuge's version 2 in JSON: objects separated by line ends; the server's ``{}`` is a ping and wants
``{}`` back. A channel carries the organisation in front: ``1/`` up to Grafana 12.3, ``default/`` (or ``org-<n>/``)
from 12.4 on. `subscribed` owns the TCP connection, the library's reader and the nursery it runs in; all of it ends
with the block. Nothing of the library escapes: what goes wrong becomes `SinkError`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.doctor.reach_grafana import open_tcp
from trio_bridge.errors import SinkError
from trio_bridge.grafana.address import PushAddress
from trio_bridge.grafana.credentials import authorization
from trio_bridge.grafana.tls import start_tls, tls_context
from trio_bridge.one_failure import one_failure


def prefixes(organisation: int, *, namespaced: bool) -> tuple[str, ...]:
    """What may stand before a channel's name, the likelier first."""
    number = f"{organisation}/"
    namespace = "default/" if organisation == 1 else f"org-{organisation}/"
    return (namespace, number) if namespaced else (number, namespace)


class Subscriber:
    """One socket that has said hello."""

    def __init__(self, socket: WebSocketConnection, peer: str) -> None:
        self._socket = socket
        self._peer = peer
        self._lines: list[str] = []
        self._number = 0

    async def subscribe(self, channels: Sequence[str]) -> str | None:
        """Subscribes to the first of `channels` that Grafana accepts and returns it; None: it accepts none."""
        for channel in channels:
            if "error" not in await self.command("subscribe", {"channel": channel}):
                return channel
        return None

    async def wait_published(self, text: str) -> None:
        """Returns once a publication holds `text`."""
        while True:
            message = await self._receive()
            if "push" in message and text in json.dumps(message):
                return

    async def command(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Sends a command and returns the reply to it."""
        self._number += 1
        await self._send({"id": self._number, name: body})
        while True:
            message = await self._receive()
            if message.get("id") == self._number:
                return message

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self._socket.send_message(json.dumps(message))
        except ConnectionClosed as closed:
            raise self._ended(closed) from None

    async def _receive(self) -> dict[str, Any]:
        while True:
            while not self._lines:
                try:
                    message = await self._socket.get_message()
                except ConnectionClosed as closed:
                    raise self._ended(closed) from None
                self._lines = [line for line in str(message).split("\n") if line.strip()]
            try:
                value = json.loads(self._lines.pop(0))
            except ValueError:
                raise SinkError(
                    f"{self._peer} sends something on /api/live/ws that Grafana would not"
                ) from None
            if value == {}:
                await self._send({})
            elif isinstance(value, dict):
                return value

    def _ended(self, closed: ConnectionClosed) -> SinkError:
        code = closed.reason.code if closed.reason else 1006
        # Grafana: with [live] max_connections = 0, or once so many browsers are there.
        why = ": [live] max_connections is reached" if code in (3504, 3505) else ""
        return SinkError(f"{self._peer} closed the subscriber's socket ({code}){why}")


@asynccontextmanager
async def subscribed(
    settings: GrafanaSettings,
) -> AsyncIterator[Subscriber]:
    """A subscriber that is connected while the block runs.

    Raises:
        ConfigError: the URL or the credentials cannot be used.
        SinkError: the socket was refused, or ended.
    """
    address = PushAddress.parse(settings.url, "x")
    path = urlsplit(settings.url.strip()).path.rstrip("/") + "/api/live/ws"
    header = (b"Authorization", (await authorization(settings)).reveal().encode())
    timeout_s = settings.connect_timeout_s
    tcp = await open_tcp(address, timeout_s)
    stream = await start_tls(tcp, tls_context(settings), address, timeout_s) if address.tls else tcp
    failure: BaseException | None = None
    try:
        # The library's reader gets a nursery of its own, so that its end is nobody else's.
        async with trio.open_nursery() as nursery:
            socket = None
            with trio.move_on_after(timeout_s):
                socket = await wrap_client_stream(
                    nursery,
                    # The library takes any `trio.abc.Stream`, as its documentation says; its annotation is narrower.
                    cast("trio.SocketStream", stream),
                    address.host_header,
                    path,
                    extra_headers=[header],
                )
            if socket is None:
                raise SinkError(f"{address.peer} did not answer the upgrade of {path} within {timeout_s:g} s")
            subscriber = Subscriber(socket, address.peer)
            with trio.move_on_after(timeout_s) as patience:
                await subscriber.command("connect", {"name": "trio-bridge doctor"})
            if patience.cancelled_caught:
                raise SinkError(f"{address.peer} opened {path} and did not answer within {timeout_s:g} s")
            yield subscriber
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        failure = one_failure(group)
    finally:
        await trio.aclose_forcefully(tcp)
    if isinstance(failure, ConnectionRejected):
        raise SinkError(f"{address.peer} answered {failure.status_code} to the upgrade of {path}")
    if isinstance(failure, HandshakeError):
        raise SinkError(f"{address.peer} did not open a WebSocket at {path}")
    if failure is not None:
        raise failure
