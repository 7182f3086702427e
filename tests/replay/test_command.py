"""``trio-bridge replay`` as the shell sees it: which route, which range, exit codes, and how to go on."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from tests.pg import Database
from tests.replay.world import START, TABLE, table, values
from tests.waiting import wait_until
from trio_bridge.config.settings import RouteSettings
from trio_bridge.errors import ConfigError
from trio_bridge.live.server import LiveServer
from trio_bridge.replay.command import choose_route, parse_span, warning_of
from trio_bridge.replay.pages import Span

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
A = RouteSettings(name="a", table="public.t")
B = RouteSettings(name="b", table="t", measurement="other")
C = RouteSettings(name="c", channel="t")


def test_the_route_is_chosen_by_table_and_name() -> None:
    """The only one needs no word; a table may be written in any way that SQL knows; a channel has no past."""
    assert choose_route([A, C], None, None) is A
    assert choose_route([A, C], 'public."t"', None) is A
    assert choose_route([A, B], "t", "b") is B
    with pytest.raises(ConfigError, match=r"several routes: say which by --table or --route: a, b"):
        choose_route([A, B], "t", None)
    with pytest.raises(ConfigError, match=r"no such route of a table; there is: a \(public.t\)"):
        choose_route([A, C], "u", None)


def test_the_range_is_read_once() -> None:
    """Both ends are instants from here on, so that what is printed to go on means the same an hour later."""
    assert parse_span("2h", "now", '["x", "7"]', NOW) == Span(NOW - timedelta(hours=2), NOW, ("x", "7"))


@pytest.mark.parametrize("after", ["", "7", "[7]", "[]", "{}", "['7']"])
def test_a_place_that_was_not_printed_by_us_is_refused(after: str) -> None:
    """What the shell made of it without quotes does not pass for a place."""
    with pytest.raises(ConfigError, match="--after: give it exactly"):
        parse_span("2h", "now", after, NOW)


def test_an_empty_range_is_a_mistake() -> None:
    """The two ends were mixed up."""
    with pytest.raises(ConfigError, match="the range is empty"):
        parse_span("1h", "2h", None, NOW)


def test_warns_of_a_window_that_is_in_the_way() -> None:
    """Only where rows go into the measurement of a bridge that keeps history."""
    assert "--measurement" in (warning_of(A, None) or "")
    assert warning_of(A, "other") is None
    assert warning_of(RouteSettings(name="a", table="t", history_rows=0), None) is None


class Process:
    """``trio-bridge replay`` with an environment of its own; *owns* the process."""

    def __init__(self, database: Database, live: LiveServer, *arguments: str, fields: str = "value") -> None:
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("TRIO_BRIDGE_")
        } | {
            "TRIO_BRIDGE_POSTGRES_DSN": database.dsn,
            "TRIO_BRIDGE_GRAFANA_URL": live.url,
            "TRIO_BRIDGE_GRAFANA_TOKEN": live.token,
            "TRIO_BRIDGE_FIELDS": fields,
        }
        command = [sys.executable, "-m", "trio_bridge", "replay", "--table", TABLE, *arguments]
        self._process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    async def end(self) -> tuple[int, str, str]:
        """Exit code, output, errors."""
        out, err = await trio.to_thread.run_sync(self._process.communicate)
        return self._process.returncode, out, err


RANGE = ("--since", START.isoformat(), "--until", (START + timedelta(seconds=400)).isoformat())


async def test_a_replay_that_succeeds(database: Database) -> None:
    """Exit 0, a summary, and not a word of how to go on."""
    table(database, 400)
    async with LiveServer(keep_log=True) as live:
        code, out, err = await Process(database, live, *RANGE, "--measurement", "again").end()
        assert sorted(set(values(live))) == list(range(400))
    assert code == 0, err
    assert "read                   400" in out
    assert "acknowledged           400" in out
    assert not err


async def test_rejected_rows_are_no_success(database: Database) -> None:
    """Exit 1, with the reason's count in the summary and the row's key above it."""
    table(database, 400)
    database.execute(
        f"ALTER TABLE {TABLE} ALTER value TYPE text USING CASE value WHEN 3 THEN repeat('x', 70000) END"
    )
    async with LiveServer() as live:
        code, out, err = await Process(database, live, *RANGE).end()
    assert code == 1
    assert "too_large 1" in out
    assert "row_rejected" in err
    assert "a running bridge keeps the last rows" in err
    assert "go on with" not in err


async def test_ctrl_c_tells_how_to_go_on_and_that_is_true(database: Database) -> None:
    """Interrupted in the middle, exit 130; the printed options bring the rest, each row once."""
    table(database, 400)
    async with LiveServer(keep_log=True) as live:
        process = Process(database, live, *RANGE, "--rate", "200")
        await wait_until(lambda: len(values(live)) >= 50)
        process.interrupt()
        code, _, err = await process.end()
        assert code == 130, err
        sent = len(values(live))
        assert sent < 400
        options = shlex.split(err.rpartition("go on with the same command and: ")[2])
        code, out, err = await Process(database, live, *options).end()
        assert code == 0, err
        assert f"acknowledged  {400 - sent:>12,}" in out
        assert values(live) == list(range(400))


async def test_one_of_the_files_routes_is_replayed(database: Database, tmp_path: Path) -> None:
    """--table chooses among the routes of a file, with their mapping."""
    table(database, 400)
    file = tmp_path / "bridge.toml"
    async with LiveServer(keep_log=True) as live:
        file.write_text(
            f"""
            [postgres]
            dsn = "{database.dsn}"
            [grafana]
            url = "{live.url}"
            [[route]]
            table = "another"
            [[route]]
            table = "live_metrics"
            measurement = "mine"
            fields = ["id"]
            """
        )
        code, _, err = await Process(database, live, *RANGE, "--config", str(file), fields="").end()
        assert code == 0, err
        assert {p.measurement for d in live.deliveries for p in d.points} == {"mine"}
        assert sorted(values(live, "id")) == list(range(1, 401))


async def test_what_cannot_work_is_one_sentence(database: Database) -> None:
    """A table that is not there: exit 2, no traceback, and no advice to go on."""
    async with LiveServer() as live:
        code, _, err = await Process(database, live, *RANGE).end()
    assert code == 2
    assert "there is no table public.live_metrics" in err
    assert "Traceback" not in err
    assert "go on with" not in err
