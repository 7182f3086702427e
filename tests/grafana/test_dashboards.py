"""The commands ``dashboard`` and ``grafana token`` as the shell runs them, and how routes are chosen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio
import yaml

from tests.pg import Database
from trio_bridge.config.settings import PostgresSettings, RouteSettings
from trio_bridge.errors import ConfigError
from trio_bridge.grafana import dashboards
from trio_bridge.live import LiveServer

READING = RouteSettings(name="mine", table="public.T", stream="other")
CHANNEL = RouteSettings(name="feed", channel="feed")


async def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m trio_bridge …`` with no settings but those of `environment`."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("TRIO_BRIDGE_")}
    return await trio.to_thread.run_sync(
        partial(
            subprocess.run,
            [sys.executable, "-m", "trio_bridge", *arguments],
            env=clean | environment,
            capture_output=True,
            text=True,
            check=False,
        )
    )


def test_the_routes_of_a_table_are_chosen() -> None:
    """However it is written; a table that no route reads gets a route as `run --table` would make it."""
    assert dashboards.chosen([READING, CHANNEL], "t") == [READING]
    assert dashboards.chosen([READING], "u") == [RouteSettings(name="u", table="u")]
    assert dashboards.chosen([READING, CHANNEL], None) == [READING, CHANNEL]
    with pytest.raises(ConfigError, match="no route: give --table"):
        dashboards.chosen([], None)


def test_a_channel_route_asks_no_database() -> None:
    """Its fields are in the settings; it has no past and no data source."""
    (model,) = dashboards.models([CHANNEL], None)
    assert "trio-bridge-postgres" not in json.dumps(model)
    assert list(dashboards.texts([model], None)) == [
        "dashboards/trio-bridge-pg-feed.json",
        "provisioning/dashboards/provider.yaml",
    ]


@pytest.mark.parametrize(
    ("dsn", "url", "database", "sslmode"),
    [
        ("postgresql://u@db:6000/m?sslmode=verify-full", "db:6000", "m", "verify-full"),
        ("host=a,b port=1,2 user=u", "a:1", "u", "require"),
        ("host=/run/pg user=u dbname=m sslmode=prefer", "/run/pg", "m", "require"),
    ],
)
def test_the_data_source_follows_the_dsn(dsn: str, url: str, database: str, sslmode: str) -> None:
    """Host, database and TLS are the bridge's; of TLS that may be left out Grafana asks for all."""
    texts = dashboards.texts([], PostgresSettings(dsn=dsn, password_file=Path("/run/p")))
    (source,) = yaml.safe_load(texts["provisioning/datasources/postgres.yaml"])["datasources"]
    assert (source["url"], source["jsonData"]) == (url, {"database": database, "sslmode": sslmode})
    assert source["secureJsonData"]["password"] == "$__file{/run/p}"


async def test_a_dashboard_is_printed_written_or_pushed(database: Database, tmp_path: Path) -> None:
    """One command makes it of a table that is not even installed; the JSON is the same everywhere."""
    database.execute('CREATE TABLE t (id int PRIMARY KEY, "timestamp" timestamptz, load_percent int)')
    arguments = ("dashboard", "--table", "t", "--dsn", database.dsn)
    printed = await run(*arguments)
    assert printed.returncode == 0, printed.stderr
    model = json.loads(printed.stdout)
    assert model["title"] == "Live: t"
    async with LiveServer() as live:
        token = tmp_path / "token"
        token.write_text(live.token)
        pushed = await run(
            *arguments,
            "--push",
            "--out",
            str(tmp_path),
            "--grafana-url",
            live.url,
            "--token-file",
            str(token),
        )
        assert pushed.returncode == 0, pushed.stderr
        first, second, *files = pushed.stdout.splitlines()
        assert first == f"Live: t: {live.url}/d/trio-bridge-pg-t/trio-bridge-pg-t"
        assert "needs a PostgreSQL data source" in second
        assert live.shelf.dashboards["trio-bridge-pg-t"] == {**model, "version": 1}
    assert json.loads((tmp_path / "dashboards" / "trio-bridge-pg-t.json").read_text()) == model
    assert [str(Path(file).relative_to(tmp_path)) for file in files] == [
        "dashboards/trio-bridge-pg-t.json",
        "provisioning/dashboards/provider.yaml",
        "provisioning/datasources/postgres.yaml",
    ]


async def test_several_routes_are_not_printed_at_once(tmp_path: Path) -> None:
    """Their JSON one after the other would be no JSON: the operator is asked which."""
    file = tmp_path / "bridge.toml"
    file.write_text('[[route]]\nchannel = "a"\n[[route]]\nchannel = "b"\n')
    result = await run("dashboard", "--config", str(file))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "trio-bridge: there are several routes: give --table, --out or --push\n"


async def test_the_token_command_says_what_it_did(tmp_path: Path) -> None:
    """One line for the account and why it is an Admin, one for the token, one for each that went; no secret in any."""
    password, out = tmp_path / "password", tmp_path / "token"
    password.write_text("s3cr3t\n")
    async with LiveServer(password="s3cr3t") as live:
        arguments = ("grafana", "token", "--admin-password-file", str(password), "--out", str(out))
        first = await run(*arguments, "--url", live.url)
        second = await run(*arguments, TRIO_BRIDGE_GRAFANA_URL=live.url)
        assert (first.returncode, second.returncode) == (0, 0), (first.stderr, second.stderr)
        # The stand-in has an account of its own.
        assert [token.name for token in live.accounts.tokens_of(live.accounts.find("trio-bridge")[0])] == [
            second.stdout.splitlines()[1].split()[1].rstrip(":")
        ]
    made, token = first.stdout.splitlines()
    assert made == 'service account "trio-bridge" (id 2): made, role Admin, which the push socket asks for'
    assert token.endswith(f": opens the push socket, written to {out}")
    assert second.stdout.splitlines()[2].endswith(": deleted")
    said = first.stdout + first.stderr + second.stdout + second.stderr
    assert "s3cr3t" not in said
    assert out.read_text().strip() not in said
