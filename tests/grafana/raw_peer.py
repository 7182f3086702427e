"""A peer that says exactly the bytes a test wants: a TCP server on 127.0.0.1 without any protocol."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio
from wsproto.utilities import generate_accept_token

TLS = Path(__file__).parents[1] / "data" / "tls"

Handler = Callable[[trio.abc.Stream], Awaitable[None]]


async def listen(
    nursery: trio.Nursery,
    handler: Handler,
    *,
    certificate: str | None = None,
    asks_for_one: bool = False,
    receive_buffer_bytes: int | None = None,
) -> int:
    """Run `handler` for each connection, until the nursery is cancelled; return the port.

    Args:
        nursery: for the server.
        handler: what to say.
        certificate: which of those in `TLS` to show; None: no TLS.
        asks_for_one: the client must show a certificate of the same authority.
        receive_buffer_bytes: how much the kernel takes from a client that is not read; None: its default, 2.9
            MB.
    """
    sockets = await trio.open_tcp_listeners(0, host="127.0.0.1")
    if receive_buffer_bytes is not None:
        sockets[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    listeners: list[trio.abc.Listener[trio.abc.Stream]] = [*sockets]
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(TLS / f"{certificate}.pem")
        if asks_for_one:
            context.load_verify_locations(TLS / "ca.pem")
            context.verify_mode = ssl.CERT_REQUIRED
        listeners = [trio.SSLListener(sockets[0], context, https_compatible=True)]

    async def serve(stream: trio.abc.Stream) -> None:
        # A client that goes away is what these tests are about.
        try:
            await handler(stream)
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    nursery.start_soon(trio.serve_listeners, serve, listeners)
    return int(sockets[0].socket.getsockname()[1])


async def read_head(stream: trio.abc.Stream) -> bytes:
    """The request up to its empty line."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some()
        if not data:
            raise trio.BrokenResourceError("the client closed in its request")
        head += data
    return head


async def accept(stream: trio.abc.Stream, *headers: bytes) -> None:
    """Answer the upgrade as a server does, with `headers` on top."""
    head = await read_head(stream)
    key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    answer = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + generate_accept_token(key.split(b":")[1].strip()),
        *headers,
    ]
    await stream.send_all(b"\r\n".join([*answer, b"", b""]))


def says(answer: bytes, *, then_silence: bool = False) -> Handler:
    """A handler that reads the request, writes `answer` and closes (or keeps silent until the client goes)."""

    async def handler(stream: trio.abc.Stream) -> None:
        await read_head(stream)
        await stream.send_all(answer)
        if then_silence:
            while await stream.receive_some():
                pass

    return handler
