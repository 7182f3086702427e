"""The status page in a terminal: ``/status.json`` of a running service → a table or JSON, once or every second.

Asks over HTTP like anybody else, so it needs neither the service's settings nor its rights. Owns its connection; ends
after one look, or with `watch` when cancelled. A service that is not there is one sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx
import msgspec
import trio
from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trio_bridge.errors import BridgeError
from trio_bridge.web.moment import Duration, Moment, RouteMoment

TIMEOUT_S: Final = 5.0
"""For a look; the service answers within milliseconds or is in trouble."""

WATCH_S: Final = 1.0
"""Between two looks: the service looks no more often itself."""

_MODES: Final = {"notify": "on a bell", "arming": "on a bell soon", "poll": "polling"}


async def show(url: str, *, as_json: bool, watch: bool, console: Console) -> None:
    """Show the service at `url`, once or, with `watch`, until cancelled.

    Raises:
        BridgeError: nothing answers there, or something else does.
    """
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
        if as_json:
            await _repeat(watch, client, lambda body, _: console.out(body.decode(), highlight=False))
        elif not watch or not console.is_terminal:
            await _repeat(watch, client, lambda _, moment: console.print(render(moment)))
        else:
            with Live(console=console, auto_refresh=False) as live:
                await _repeat(watch, client, lambda _, moment: live.update(render(moment), refresh=True))


async def _repeat(watch: bool, client: httpx.AsyncClient, tell: Callable[[bytes, Moment], None]) -> None:
    while True:
        body = await _ask(client)
        try:
            moment = msgspec.json.decode(body, type=Moment)
        except msgspec.DecodeError:
            raise BridgeError(f"{client.base_url} is not a trio_bridge of this version") from None
        tell(body, moment)
        if not watch:
            return
        await trio.sleep(WATCH_S)


async def _ask(client: httpx.AsyncClient) -> bytes:
    try:
        answer = await client.get("status.json")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BridgeError(
            f"nothing answers at {client.base_url}: {str(error) or type(error).__name__}. Is the service running, and "
            "is its http.listen there? (--url says where to ask)"
        ) from None
    if answer.status_code != httpx.codes.OK:
        raise BridgeError(f"{client.base_url} is not a trio_bridge: it answered {answer.status_code}")
    return answer.content


def render(moment: Moment) -> RenderableType:
    """A table for each route, for 80 columns; one in trouble says below it why."""
    if moment.stopping:
        state = Text("stopping", style="yellow")
    else:
        state = Text("ready", style="green") if moment.ready else Text("not ready", style="red")
    title = Text.assemble(
        ("trio_bridge", "bold"), f" {moment.version}  ", state, f"  up {_span(moment.uptime_s)}\n"
    )
    return Group(title, *map(_table, moment.routes))


def _table(route: RouteMoment) -> Table:
    table = Table(
        title=Text.assemble((route.name, "bold"), "  ", _state(route)),
        title_justify="left",
        caption=Text(route.reason, style="red") if route.reason else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    figures: list[str | Text] = []
    for name, figure in (
        ("rows/s", f"{route.acknowledged_per_s:,.0f}"),
        ("acknowledged", f"{route.acknowledged:,}"),
        ("pending", f"{route.pending:,}"),
        ("rejected", _alarming(route.rejected)),
        ("behind", "-" if route.lag_s is None else _duration(route.lag_s)),
        ("bell→push", _median(route.bell_to_push)),
        ("push→ack", _median(route.push_to_ack)),
    ):
        figures.append(figure)
        table.add_column(name, justify="right", no_wrap=True, min_width=7)
    table.add_row(*figures)
    return table


def _state(route: RouteMoment) -> Text:
    if route.postgres == "down":
        return Text("Postgres down", style="red")
    if route.grafana == "down":
        return Text("Grafana down", style="red")
    mode = f", {_MODES[route.mode]}" if route.mode else ""
    return Text(f"{route.phase}{mode}", style="green" if route.ready else "yellow")


def _alarming(count: int) -> Text:
    return Text(f"{count:,}", style="yellow" if count else "")


def _median(duration: Duration) -> str:
    return "-" if duration.p50 is None else _duration(duration.p50)


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.1f} ms" if seconds < 0.01 else f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else _span(seconds)


def _span(seconds: float) -> str:
    for unit, length, most in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < most:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
