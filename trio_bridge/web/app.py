"""Which path answers what: the ASGI application, and `serve_status`, which serves it beside the routes.

    GET /livez        200 as long as the event loop turns
    GET /readyz       200, or 503 with the reasons, as JSON
    GET /metrics      Prometheus' text format
    GET /status.json  `moment.Moment`
    GET /events       the same as server-sent events, one a second
    GET /             the page, and its files

Nothing but GET and HEAD is answered, nothing is read from a request but its path.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, cast

import msgspec
import trio
from hypercorn.typing import ASGIFramework
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route as Path
from starlette.types import Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from trio_bridge.config.listen import Listen
from trio_bridge.route import Route
from trio_bridge.web.assets import load_page
from trio_bridge.web.metrics import make_registry
from trio_bridge.web.readiness import reasons
from trio_bridge.web.sampler import Sampler
from trio_bridge.web.serve import open_socket, serve

MAX_EVENT_STREAMS: Final = 16
"""Pages that look on at a time; so that they leave connections for the probes."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'self'; img-src data:; frame-ancestors 'none'",
}


async def serve_status(
    routes: Sequence[Route],
    stop: trio.Event,
    closing: trio.Event,
    listen: Listen,
    *,
    log: FilteringBoundLogger,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the status of `routes` until `closing` is set.

    Args:
        routes: what is shown.
        stop: set when the service is told to stop: from then on it is not ready.
        closing: set when there is nothing to show any more.
        listen: where.
        log: one line says where.
        task_status: started with the URL.

    Raises:
        ConfigError: it cannot listen there.
    """
    sock = open_socket(listen)
    sampler = Sampler(routes, stop)
    app = make_app(routes, stop, sampler, closing)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sampler.run)
        await serve(app, sock, closing=closing, log=log, task_status=task_status)
        nursery.cancel_scope.cancel()


def make_app(
    routes: Sequence[Route], stop: trio.Event, sampler: Sampler, closing: trio.Event
) -> ASGIFramework:
    """The application.

    Args:
        routes: what is shown.
        stop: set when the service is told to stop.
        sampler: runs.
        closing: ends event streams.
    """
    registry = make_registry(routes)
    watchers: set[Response] = set()

    async def livez(_: Request) -> Response:
        return PlainTextResponse("alive\n", headers=_HEADERS)

    async def readyz(_: Request) -> Response:
        why = list(reasons(routes, now=time.monotonic(), stopping=stop.is_set()))
        return _json({"ready": not why, "reasons": why}, status=503 if why else 200)

    async def metrics(_: Request) -> Response:
        return Response(
            generate_latest(registry),
            media_type=None,
            headers={**_HEADERS, "Content-Type": CONTENT_TYPE_LATEST},
        )

    async def status(_: Request) -> Response:
        return _json(sampler.moment())

    async def events(_: Request) -> Response:
        if len(watchers) >= MAX_EVENT_STREAMS:
            return PlainTextResponse("too many pages are watching\n", 503, headers=_HEADERS)
        return _EventStream(sampler, closing, watchers)

    async def file(request: Request) -> Response:
        content_type, body = page[request.url.path]
        return Response(body, media_type=content_type, headers=_HEADERS)

    page = load_page()
    paths = {
        "/livez": livez,
        "/readyz": readyz,
        "/metrics": metrics,
        "/status.json": status,
        "/events": events,
    }
    return cast(
        "ASGIFramework",
        Starlette(
            routes=[Path(path, answer) for path, answer in {**paths, **dict.fromkeys(page, file)}.items()]
        ),
    )


class _EventStream(Response):
    """A moment a second, until the client goes or `closing` is set."""

    def __init__(self, sampler: Sampler, closing: trio.Event, watchers: set[Response]) -> None:
        super().__init__(headers=_HEADERS, media_type="text/event-stream")
        del self.headers["content-length"]
        self._sampler = sampler
        self._closing = closing
        self._watchers = watchers

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        self._watchers.add(self)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell, send)
                nursery.start_soon(_cancel_when, self._closing.wait, nursery.cancel_scope)
                nursery.start_soon(_cancel_when, partial(_wait_gone, receive), nursery.cancel_scope)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._watchers.discard(self)

    async def _tell(self, send: Send) -> None:
        while True:
            event = b"data: " + msgspec.json.encode(self._sampler.moment()) + b"\n\n"
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await self._sampler.wait_next()


async def _cancel_when(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()


async def _wait_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, {**_HEADERS, "Content-Type": "application/json"})
