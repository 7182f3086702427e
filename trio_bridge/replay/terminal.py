"""A replay as the person who started it sees it: a bar while it runs, warnings above it, and a summary at the end.

The bar is drawn on a terminal only; a pipe gets warnings and summary. Turns books into text and owns nothing.
"""

from __future__ import annotations

import json
import shlex

import structlog
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from structlog.typing import FilteringBoundLogger

from trio_bridge.ledger import LedgerStatistics
from trio_bridge.replay.pages import Span
from trio_bridge.replay.run import Outcome, Replay

REFRESH_S = 0.25


def logger_above(console: Console) -> FilteringBoundLogger:
    """Warnings and errors as lines on `console`, which keeps its bar below them."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Lines(console),
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
    )
    return logger


class _Lines:
    """What structlog calls a logger."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def msg(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    warning = error = critical = msg


async def show(replay: Replay, console: Console) -> None:
    """Draw the bar until cancelled."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows acknowledged"),
        TimeRemainingColumn(),
    )
    # Without a thread of its own: everything is drawn from here, between two waits.
    with Progress(
        *columns, console=console, auto_refresh=False, disable=not console.is_terminal, redirect_stdout=False
    ) as progress:
        task = progress.add_task("replay", total=None)

        def draw() -> None:
            books = replay.books()
            done = books.acknowledged + sum(books.rejected.values())
            total = replay.total
            # Rows may have come since they were counted.
            progress.update(task, completed=done, total=None if total is None else max(total, done))
            progress.refresh()

        try:
            while True:
                draw()
                await trio.sleep(REFRESH_S)
        finally:
            draw()


def summary(books: LedgerStatistics) -> list[str]:
    """What became of the rows, one thing a line."""
    rejected = ", ".join(f"{reason} {rows:,}" for reason, rows in sorted(books.rejected.items()))
    lines = [
        f"read          {books.seen:>12,}",
        f"sent          {books.messages:>12,}  messages, {books.bytes:,} bytes",
        f"acknowledged  {books.acknowledged:>12,}",
        f"rejected      {sum(books.rejected.values()):>12,}  {rejected}".rstrip(),
    ]
    if books.pending:
        lines.append(f"in doubt      {books.pending:>12,}  read, perhaps sent, not acknowledged")
    return lines


def how_to_go_on(outcome: Outcome, span: Span) -> str:
    """The options that make the next replay begin where this one stopped."""
    options = ["--since", span.since.isoformat(), "--until", span.until.isoformat()]
    if outcome.place is not None:
        options += ["--after", json.dumps(outcome.place, ensure_ascii=False)]
    return f"go on with the same command and: {shlex.join(options)}"
