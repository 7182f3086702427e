"""What the doctor's tests share: settings with one thing broken, the findings by hop, and a proxy that lies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import GrafanaSettings, PostgresSettings, RouteSettings, Settings
from trio_bridge.doctor.examine import examine, panel_hint
from trio_bridge.doctor.hops import Finding
from trio_bridge.doctor.report import json_text
from trio_bridge.live import LiveServer
from trio_bridge.postgres.install import install
from trio_bridge.secret import Secret

TABLE = "public.live_metrics"
ROUTE = RouteSettings(name=TABLE, table=TABLE)
TOKEN = "glsa_s3cr3t_of_nobody"
# Nothing listens on the discard port of the loopback: the side that a test is not about fails at once.
NOWHERE = 9

Rewrite = Callable[[bytes], bytes]


def postgres(dsn: str, **more: Any) -> PostgresSettings:
    return PostgresSettings(dsn=dsn, **{"connect_timeout_s": 5.0, **more})


def grafana(url: str, **more: Any) -> GrafanaSettings:
    return GrafanaSettings(url=url, **{"token": Secret(TOKEN), "connect_timeout_s": 5.0, **more})


def live_grafana(live: LiveServer, **more: Any) -> GrafanaSettings:
    return grafana(live.url, **{"token": Secret(live.token), **more})


async def examined(
    *,
    postgres: PostgresSettings | None = None,
    grafana: GrafanaSettings | None = None,
    routes: tuple[RouteSettings, ...] = (ROUTE,),
    **more: Any,
) -> dict[str, Finding]:
    """The findings by hop; a side that is not given is nowhere. No secret may be in them."""
    settings = Settings(
        postgres=postgres or PostgresSettings(dsn=f"host=127.0.0.1 port={NOWHERE}"),
        grafana=grafana or GrafanaSettings(url=f"http://127.0.0.1:{NOWHERE}", token=Secret(TOKEN)),
        route=routes,
    )
    heard: list[Finding] = []
    findings = await examine(settings, routes, report=heard.append, **more)
    assert heard == findings
    said = json_text(findings, [panel_hint(route) for route in routes])
    assert json.loads(said)["findings"]
    for secret in (settings.postgres.password, settings.grafana.token):
        assert secret is None or secret.reveal() not in said
    by_hop = {finding.hop: finding for finding in findings}
    assert len(by_hop) == len(findings)
    return by_hop


def broken(finding: Finding, exit_code: int, *words: str) -> None:
    """`finding` is a failure of that class, its sentence holds `words`, and it says what to do."""
    assert (finding.status, finding.exit_code) == ("failed", exit_code), finding
    _says(finding, *words)


def warns(finding: Finding, *words: str) -> None:
    """`finding` is a warning, its sentence holds `words`, and it says what to do."""
    assert (finding.status, finding.exit_code) == ("warning", 0), finding
    _says(finding, *words)


def _says(finding: Finding, *words: str) -> None:
    assert finding.remedy
    for word in words:
        assert word in finding.sentence, finding


def installed(dsn: str, table: str = TABLE, **more: Any) -> None:
    install(dsn, parse_table(table), routes=[table], **more)


def through(dsn: str, port: int) -> str:
    """`dsn` by way of a proxy on `port`."""
    return make_conninfo("", **{**conninfo_to_dict(dsn), "port": port})


@asynccontextmanager
async def lying_proxy(
    dsn: str, *, up: Rewrite = lambda data: data, down: Rewrite = lambda data: data
) -> AsyncIterator[str]:
    """A proxy before the server of `dsn` that rewrites what goes by, to the same length; its DSN.

    The client's requests and the server's answers to them are written in one piece each, and read so on the loopback.
    """
    place = conninfo_to_dict(dsn)
    host, port = str(place["host"]), int(str(place["port"]))

    async def serve(client: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream(host, port) as server, trio.open_nursery() as nursery:
            nursery.start_soon(_pump, client, server, up)
            nursery.start_soon(_pump, server, client, down)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield through(dsn, listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def _pump(source: trio.SocketStream, sink: trio.SocketStream, rewrite: Rewrite) -> None:
    async for data in source:
        changed = rewrite(bytes(data))
        assert len(changed) == len(data)
        await sink.send_all(changed)
    await sink.send_eof()
