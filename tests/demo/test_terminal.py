"""The terminal: every figure is there under its name, alarms stand out, and a pipe gets plain lines."""

from __future__ import annotations

import io
import re

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock as Clock

from trio_bridge.demo.statistics import DemoStatistics
from trio_bridge.demo.terminal import plain_line, render, show

MOMENT = DemoStatistics(
    phase="running",
    elapsed_s=3_725.9,
    target_rate=1_000,
    writers=4,
    writers_connected=4,
    committed=1_234_567,
    commit_rate=998.6,
    postgres_up=True,
    mode="notify",
    acknowledged=1_234_500,
    acknowledge_rate=1_001.2,
    pending=67,
    rejected=0,
    restarts=2,
    messages=5_200,
    live_up=True,
    delivered=1_234_520,
    duplicates=130,
    viewers=1,
    latency_p50_ms=4.21,
    latency_p99_ms=118.4,
)


def rows(moment: DemoStatistics) -> dict[str, str]:
    """What a person reads: the first word of each line of the table, and the rest of it."""
    console = Console(file=io.StringIO(), record=True, width=100)
    console.print(render(moment, "http://127.0.0.1:1234/"))
    lines = [line.strip() for line in console.export_text().splitlines() if line.strip()]
    return {words[0]: re.sub(r" +", " ", words[-1]) for words in (line.split(None, 1) for line in lines)}


def test_every_figure_under_its_name() -> None:
    """The table names each figure and groups its thousands."""
    shown = rows(MOMENT)
    assert shown["trio_bridge"] == "demo running 1:02:05"
    assert shown["committed"] == "1,234,567 999 4/4 writers"
    assert shown["acknowledged"] == "1,234,500 1,001 notify, 2 restarts, repeats included"
    assert shown["delivered"] == "1,234,520 5,200 messages, 1 viewers"
    assert (shown["pending"], shown["rejected"], shown["duplicates"]) == ("67", "0", "130")
    assert shown["latency"] == "4.2 / 118 ms commit → viewer, p50 / p99"
    assert "http://127.0.0.1:1234/" in shown


def test_trouble_is_visible() -> None:
    """What is down, uncertain or broken on purpose is said in words, not by colour alone."""
    trouble = DemoStatistics(phase="draining", writers=2, uncertain=3, fault="Postgres restarted (immediate)")
    shown = rows(trouble)
    assert shown["committed"] == "0 0 0/2 writers, 3 uncertain, Postgres is down"
    assert shown["acknowledged"] == "0 0 down, 0 restarts"
    assert shown["delivered"] == "0 Live is down"
    assert shown["latency"].startswith("- / - ms")
    assert shown["chaos"] == "Postgres restarted (immediate)"
    assert "chaos" not in rows(MOMENT)
    # What has not started or is over is not down.
    assert rows(DemoStatistics(phase="starting", writers=2))["committed"] == "0 0 0/2 writers"
    assert rows(DemoStatistics(phase="done", writers=2))["committed"] == "0 0 0/2 writers"


def test_plain_line_has_one_value_per_name() -> None:
    """The line for pipes can be split at spaces into names and values."""
    fields = dict(word.split("=") for word in plain_line(MOMENT).split(" "))
    assert fields["committed"] == "1234567"
    assert fields["rows_s"] == "999"
    assert fields["p99_ms"] == "118"
    assert fields["t"] == "1:02:05"
    assert plain_line(DemoStatistics(fault="a b")).endswith('fault="a b"')


async def test_pipe_gets_a_line_a_second(autojump_clock: Clock) -> None:  # noqa: ARG001 - makes time jump
    """Where there is no terminal: one line a second, the last moment at the end, no escape codes."""
    output = io.StringIO()
    with trio.move_on_after(2.5):
        await show(lambda: MOMENT, page="http://x/", console=Console(file=output))
    assert output.getvalue().splitlines() == [plain_line(MOMENT)] * 4


@pytest.mark.parametrize("refreshes", [1, 5])
async def test_terminal_shows_the_last_moment(autojump_clock: Clock, refreshes: int) -> None:  # noqa: ARG001
    """In a terminal the table is drawn again and again, and what remains is the moment of the end."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=100)
    with trio.move_on_after(refreshes * 0.25 + 0.1):
        await show(
            lambda: DemoStatistics(elapsed_s=10 * trio.current_time()), page="http://x/", console=console
        )
    clocks = re.findall(r"\b\d+:\d\d:\d\d\b", output.getvalue())
    # Drawn once at the start, at each refresh, at the end, and left standing by rich.
    assert len(clocks) >= refreshes + 2
    assert clocks == sorted(clocks)
