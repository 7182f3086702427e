"""What a person reads and a program parses, from the command line; everything green is shown too."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result
from rich.console import Console

from tests.chaos.bridges import running_bridge, settings_for
from tests.doctor.world import ROUTE, TABLE, installed
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.cli import main
from trio_bridge.doctor.hops import Finding
from trio_bridge.doctor.report import print_finding
from trio_bridge.live import LiveServer


@pytest.fixture
async def live() -> AsyncIterator[LiveServer]:
    """A Live stand-in."""
    async with LiveServer() as server:
        yield server


def configuration(tmp_path: Path, dsn: str, live: LiveServer) -> Path:
    (tmp_path / "token").write_text(live.token)
    (tmp_path / "token").chmod(0o600)
    file = tmp_path / "bridge.toml"
    file.write_text(
        f'[postgres]\ndsn = "{dsn}"\n[grafana]\nurl = "{live.url}"\ntoken_file = "{tmp_path}/token"\n'
        f'[[route]]\ntable = "{TABLE}"\n'
    )
    return file


async def doctor(*arguments: str | Path) -> Result:
    """The command, in a thread: it brings an event loop of its own."""
    clean = {name: None for name in os.environ if name.startswith("TRIO_BRIDGE_")}
    words = ["doctor", *map(str, arguments)]
    return await trio.to_thread.run_sync(lambda: CliRunner().invoke(main, words, env=clean))


async def test_everything_green(database: Database, live: LiveServer, tmp_path: Path) -> None:
    """With a bridge that runs every hop is a tick, and the end says what to write into a panel."""
    installed(database.dsn)
    file = configuration(tmp_path, database.dsn, live)
    async with running_bridge(settings_for(database.dsn, live, ROUTE)) as service:
        await wait_until(lambda: service.routes[0].status.mode.value == "notify")
        result = await doctor("--config", file)
    assert result.exit_code == 0, result.output
    hops, _, end = result.output.partition("\n\n")
    assert len(hops.splitlines()) > 20
    assert {line[:2] for line in hops.splitlines() if not line.startswith("! postgres version")} <= {
        "✓ ",
        "  ",
    }
    assert "all right" in end
    assert "channel stream/pg/live_metrics\n" in end
    target = json.loads(end.partition("target  ")[2].partition("\n")[0])
    assert target["queryType"] == "measurements"
    assert "a relative time range that ends in now" in end
    assert live.token not in result.output


async def test_the_first_broken_hop_is_named(database: Database, live: LiveServer, tmp_path: Path) -> None:
    """A cross, the cause, the command that mends it, the exit code of its class; doing it makes it right."""
    file = configuration(tmp_path, database.dsn, live)
    result = await doctor("--config", file)
    assert result.exit_code == 4
    assert "✗ installation: this database has no schema trio_bridge" in result.output
    assert f"  → trio-bridge install --config {file} --dsn" in result.output
    assert f"- {TABLE}: table: not tried: installation comes first" in result.output
    assert result.output.endswith("broken: installation. Mend it and ask again.\n")
    installed(database.dsn)
    assert (await doctor("--config", file)).exit_code == 0


async def test_json(database: Database, live: LiveServer, tmp_path: Path) -> None:
    """The findings as one object, with the same exit code."""
    installed(database.dsn)
    database.execute("DELETE FROM trio_bridge.checkpoint")
    result = await doctor("--config", configuration(tmp_path, database.dsn, live), "--json")
    said = json.loads(result.output)
    assert said["exit_code"] == result.exit_code == 4
    assert said["panels"] == []
    [failure] = [finding for finding in said["findings"] if finding["status"] == "failed"]
    assert set(failure) == {"hop", "status", "sentence", "remedy", "exit_code"}
    assert live.token not in result.output


async def test_an_unknown_route(database: Database, live: LiveServer, tmp_path: Path) -> None:
    """A mistyped route is the operator's mistake, with a suggestion."""
    file = configuration(tmp_path, database.dsn, live)
    result = await doctor("--config", file, "--route", "public.live_metric")
    assert result.exit_code == 2
    assert "there is no route 'public.live_metric': did you mean" in result.stderr


def test_a_line_stays_a_line() -> None:
    """Without a terminal nothing is wrapped or coloured, and brackets are no markup."""
    out = StringIO()
    print_finding(
        Console(file=out, highlight=False, width=20), Finding("a", "failed", "[bold]" + "x" * 90, "do")
    )
    assert out.getvalue() == f"✗ a: [bold]{'x' * 90}\n  → do\n"
