"""A peer that says exactly the bytes a test wants: a TCP server on 127.0.0.1 without any protocol."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

TLS = Path(__file__).parent / "data" / "tls"

Handler = Callable[[trio.abc.Stream], Awaitable[None]]


async def listen(nursery: trio.Nursery, handler: Handler, *, certificate: str | None = None) -> int:
    """Run `handler` for each connection, until the nursery is cancelled; return the port."""
    if certificate is None:
        listeners: list[trio.abc.Listener[trio.abc.Stream]] = list(
            await trio.open_tcp_listeners(0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]  # type: ignore[attr-defined]
    else:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(TLS / f"{certificate}.pem")
        secured = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1", https_compatible=True)
        port = secured[0].transport_listener.socket.getsockname()[1]  # type: ignore[attr-defined]
        listeners = list(secured)

    async def serve(stream: trio.abc.Stream) -> None:
        # A client that goes away is what these tests are about.
        try:
            await handler(stream)
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    nursery.start_soon(trio.serve_listeners, serve, listeners)
    return int(port)


async def read_head(stream: trio.abc.Stream) -> bytes:
    """The request up to its empty line."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some()
        if not data:
            raise trio.BrokenResourceError("the client closed in its request")
        head += data
    return head


def says(answer: bytes, *, then_silence: bool = False) -> Handler:
    """A handler that reads the request, writes `answer` and closes (or keeps silent until the client goes)."""

    async def handler(stream: trio.abc.Stream) -> None:
        await read_head(stream)
        await stream.send_all(answer)
        if then_silence:
            while await stream.receive_some():
                pass

    return handler
