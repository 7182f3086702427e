"""``trio-bridge replay``: which route, which range, what to warn of, and what the outcome is to the shell.

    0     every row of the range was acknowledged
    1     it failed, or rows were rejected
    2     the operator's mistake
    130   interrupted (SIGINT, SIGTERM): no more rows are read, those on their way are still acknowledged

The first signal ends it in good order, a second one at once. Whatever ends it before the end of the range, the last
line tells how to go on.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from datetime import datetime

import trio
from rich.console import Console

from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import RouteSettings, Settings
from trio_bridge.errors import ConfigError
from trio_bridge.replay.moments import parse_moment
from trio_bridge.replay.pages import Place, Span
from trio_bridge.replay.run import Outcome, Replay
from trio_bridge.replay.terminal import how_to_go_on, logger_above, show, summary

INTERRUPTED = 130


def choose_route(routes: Sequence[RouteSettings], table: str | None, name: str | None) -> RouteSettings:
    """The one table route that `table` and `name` (None: any) leave.

    Raises:
        ConfigError: there is none, or more than one.
    """
    of_tables = [(route, parse_table(route.table)) for route in routes if route.table is not None]
    wanted = None if table is None else parse_table(table)
    found = [
        route for route, its_table in of_tables if wanted in (None, its_table) and name in (None, route.name)
    ]
    if not found:
        known = ", ".join(f"{route.name} ({its_table})" for route, its_table in of_tables)
        raise ConfigError(f"no such route of a table; there is: {known or 'none'}")
    if len(found) > 1:
        raise ConfigError(
            f"several routes: say which by --table or --route: {', '.join(r.name for r in found)}"
        )
    return found[0]


def parse_span(since: str, until: str, after: str | None, now: datetime) -> Span:
    """The range that the options mean.

    Raises:
        ConfigError: one of them means nothing, or the range is empty.
    """
    span = Span(parse_moment(since, now), parse_moment(until, now), None if after is None else _place(after))
    if span.since >= span.until:
        raise ConfigError(f"the range is empty: --since {span.since.isoformat()} is not before --until")
    return span


def _place(text: str) -> Place:
    try:
        parts = json.loads(text)
    except ValueError:
        parts = None
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        raise ConfigError("--after: give it exactly as the interrupted replay printed it, in quotes")
    return tuple(parts)


def warning_of(route: RouteSettings, measurement: str | None) -> str | None:
    """What the operator may not expect."""
    if measurement is not None or not route.window_rows:
        return None
    return (
        "a running bridge keeps the last rows of this measurement: its panels will jump while rows are replayed, "
        "and its next keyframe replaces what was replayed; --measurement sends the rows elsewhere"
    )


def replay(
    settings: Settings,
    route: RouteSettings,
    span: Span,
    *,
    measurement: str | None,
    rate: int | None,
    say: Callable[[str], None],
    complain: Callable[[str], None],
) -> int:
    """Replay, show it, and return the exit code.

    Args:
        settings: of the whole program.
        route: see `choose_route`.
        span: see `parse_span`.
        measurement: None: the route's own.
        rate: rows a second; None: as many as Grafana takes.
        say: for the summary.
        complain: for what is wrong, and for how to go on.
    """
    if warning := warning_of(route, measurement):
        complain(f"warning: {warning}")
    console = Console(stderr=True)
    one = Replay(settings, route, span, measurement=measurement, rate=rate, log=logger_above(console))
    outcome, interrupted = trio.run(_run_until_signal, one, console)
    for line in summary(outcome.books):
        say(line)
    if outcome.failure is not None:
        complain(str(outcome.failure))
    if not outcome.finished and not isinstance(outcome.failure, ConfigError):
        complain(how_to_go_on(outcome, span))
    return _exit_code(outcome, interrupted=interrupted)


def _exit_code(outcome: Outcome, *, interrupted: bool) -> int:
    if outcome.failure is not None:
        return outcome.failure.exit_code
    if not outcome.finished:
        return INTERRUPTED if interrupted else 1
    return 0 if outcome.books.acknowledged == outcome.books.seen else 1


async def _run_until_signal(one: Replay, console: Console) -> tuple[Outcome, bool]:
    stop = trio.Event()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as beside:
            now = trio.CancelScope()

            async def hear() -> None:
                async for _ in signals:
                    if stop.is_set():
                        now.cancel()
                    stop.set()

            beside.start_soon(hear)
            beside.start_soon(show, one, console)
            outcome = await one.run(stop, now)
            beside.cancel_scope.cancel()
    return outcome, stop.is_set()
