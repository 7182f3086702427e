"""The demo in a terminal: one table that stays where it is, or one plain line a second in a pipe.

Turns `DemoStatistics` into text. It asks for a moment a few times a second and only writes to the console it
was given; it starts nothing and ends when it is cancelled, after showing the last moment.
"""

from __future__ import annotations

from collections.abc import Callable

import trio
from rich import box
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trio_bridge.demo.statistics import DemoStatistics

REFRESH_S = 0.25
PLAIN_S = 1.0

_PHASE_STYLE = {"starting": "yellow", "running": "green", "draining": "yellow", "done": "bold"}


async def show(read: Callable[[], DemoStatistics], *, page: str, console: Console) -> None:
    """Shows what `read` tells until cancelled.

    Args:
        read: the demo at this moment.
        page: address of the web page, shown below the table.
        console: where to write.
    """
    if not console.is_terminal:
        try:
            while True:
                console.print(plain_line(read()), highlight=False, soft_wrap=True)
                await trio.sleep(PLAIN_S)
        finally:
            console.print(plain_line(read()), highlight=False, soft_wrap=True)
    # Without a thread of its own: everything is drawn from here, between two waits.
    with Live(render(read(), page), console=console, auto_refresh=False, transient=False) as live:
        try:
            while True:
                await trio.sleep(REFRESH_S)
                live.update(render(read(), page), refresh=True)
        finally:
            live.update(render(read(), page), refresh=True)


def render(moment: DemoStatistics, page: str) -> RenderableType:
    """The table of one moment."""
    table = Table(
        title=Text.assemble(
            ("trio_bridge demo", "bold"),
            "  ",
            (moment.phase, _PHASE_STYLE[moment.phase]),
            f"  {_clock(moment.elapsed_s)}",
        ),
        title_justify="left",
        caption=Text(page, style="cyan"),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("")
    table.add_column("rows", justify="right", min_width=12)
    table.add_column("rows/s", justify="right", min_width=9)
    table.add_column("", min_width=34)
    table.add_row("committed", f"{moment.committed:,}", f"{moment.commit_rate:,.0f}", _writers(moment))
    table.add_row(
        "acknowledged", f"{moment.acknowledged:,}", f"{moment.acknowledge_rate:,.0f}", _bridge(moment)
    )
    table.add_row("delivered", f"{moment.delivered:,}", "", _live(moment))
    table.add_row("pending", f"{moment.pending:,}", "", "")
    table.add_row("rejected", _alarming(moment.rejected), "", "")
    table.add_row("duplicates", f"{moment.duplicates:,}", "", "")
    table.add_row("latency", _latency(moment), "", Text("commit → viewer, p50 / p99", style="dim"))
    if moment.fault:
        table.add_row("chaos", "", "", Text(moment.fault, style="yellow"))
    return table


def plain_line(moment: DemoStatistics) -> str:
    """One moment as one line of ``name=value``, for logs and pipes."""
    fields = {
        "t": _clock(moment.elapsed_s),
        "phase": moment.phase,
        "committed": moment.committed,
        "acknowledged": moment.acknowledged,
        "pending": moment.pending,
        "rejected": moment.rejected,
        "delivered": moment.delivered,
        "duplicates": moment.duplicates,
        "rows_s": f"{moment.commit_rate:.0f}",
        "p50_ms": _milliseconds(moment.latency_p50_ms),
        "p99_ms": _milliseconds(moment.latency_p99_ms),
        "mode": moment.mode,
        "restarts": moment.restarts,
    }
    line = " ".join(f"{name}={value}" for name, value in fields.items())
    return f'{line} fault="{moment.fault}"' if moment.fault else line


def _writers(moment: DemoStatistics) -> Text:
    connected = f"{moment.writers_connected}/{moment.writers} writers"
    all_there = moment.writers_connected == moment.writers
    text = Text(connected, style="yellow" if moment.phase == "running" and not all_there else "")
    if moment.uncertain:
        text.append(f", {moment.uncertain:,} uncertain", style="yellow")
    if not moment.postgres_up and moment.phase in ("running", "draining"):
        text.append(", Postgres is down", style="red")
    return text


def _bridge(moment: DemoStatistics) -> Text:
    text = Text(moment.mode, style="red" if moment.mode == "down" else "green")
    text.append(f", {moment.restarts:,} restarts", style="yellow" if moment.restarts else "dim")
    if moment.duplicates:
        text.append(", repeats included", style="dim")
    return text


def _live(moment: DemoStatistics) -> Text:
    if not moment.live_up:
        return Text("Live is down", style="red")
    return Text(f"{moment.messages:,} messages, {moment.viewers:,} viewers", style="dim")


def _latency(moment: DemoStatistics) -> Text:
    p50, p99 = _milliseconds(moment.latency_p50_ms), _milliseconds(moment.latency_p99_ms)
    return Text(f"{p50} / {p99} ms")


def _alarming(count: int) -> Text:
    return Text(f"{count:,}", style="bold red" if count else "")


def _milliseconds(duration_ms: float | None) -> str:
    if duration_ms is None:
        return "-"
    return f"{duration_ms:.1f}" if duration_ms < 10 else f"{duration_ms:.0f}"


def _clock(elapsed_s: float) -> str:
    minutes, seconds = divmod(int(elapsed_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
