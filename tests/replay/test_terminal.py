"""What a replay prints: a summary whose numbers add up, and options that a shell takes back."""

from __future__ import annotations

import io
import json
import shlex
from datetime import UTC, datetime

import trio
from rich.console import Console
from structlog.testing import CapturingLogger

from tests.chaos.bridges import settings_for
from tests.decoder.test_stage import bound
from tests.replay.world import ROUTE, seconds
from trio_bridge.ledger import Ledger
from trio_bridge.live.server import LiveServer
from trio_bridge.replay.pages import Span
from trio_bridge.replay.run import Outcome, Replay
from trio_bridge.replay.terminal import REFRESH_S, how_to_go_on, logger_above, show, summary

SPAN = Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))


def books() -> Ledger:
    ledger = Ledger()
    ledger.saw(1_500)
    ledger.rejected("stale")
    ledger.rejected("too_large")
    ledger.rejected("stale")
    ledger.sent(70_000)
    ledger.acknowledged(1_000)
    return ledger


def test_the_summary_accounts_for_every_row() -> None:
    """Read, acknowledged, rejected by reason, and what is in doubt."""
    assert summary(books().statistics()) == [
        "read                 1,500",
        "sent                     1  messages, 70,000 bytes",
        "acknowledged         1,000",
        "rejected                 3  stale 2, too_large 1",
        "in doubt               497  read, perhaps sent, not acknowledged",
    ]


def test_the_options_to_go_on_survive_a_shell() -> None:
    """Whatever is in a key."""
    place = ("2026-01-01 00:00:00+00", 'it\'s "ä" $HOME\\')
    outcome = Outcome(books().statistics(), finished=False, place=place, failure=None)
    options = shlex.split(how_to_go_on(outcome, SPAN).partition(": ")[2])
    assert options[:4] == ["--since", "2026-01-01T00:00:00+00:00", "--until", "2026-01-02T00:00:00+00:00"]
    assert options[4] == "--after"
    assert tuple(json.loads(options[5])) == place


def test_before_the_first_acknowledgement_it_begins_anew() -> None:
    """No place, no --after."""
    outcome = Outcome(books().statistics(), finished=False, place=None, failure=None)
    assert "--after" not in how_to_go_on(outcome, SPAN)


async def test_the_bar_is_for_terminals(autojump_clock) -> None:
    """A terminal sees rows and warnings, a pipe only the warnings, and neither anything below a warning."""
    del autojump_clock
    seen = {}
    for is_terminal in (True, False):
        text = io.StringIO()
        console = Console(file=text, force_terminal=is_terminal, width=100)
        log = logger_above(console)
        async with LiveServer() as live:
            settings = settings_for("host=nowhere", live, ROUTE)
        replay = Replay(
            settings, ROUTE, seconds(0, 1), measurement=None, rate=None, log=bound(CapturingLogger())
        )
        with trio.move_on_after(3 * REFRESH_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(show, replay, console)
                await trio.sleep(REFRESH_S)
                log.warning("slow", reason="no index")
                log.info("grafana_connected")
        seen[is_terminal] = text.getvalue()
    assert "rows acknowledged" in seen[True]
    assert "rows acknowledged" not in seen[False]
    assert all("no index" in text and "grafana_connected" not in text for text in seen.values())
