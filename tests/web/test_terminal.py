"""`trio-bridge status` and `healthcheck`: what a person and a container see, from processes of their own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import trio
from rich.console import Console

from tests.pg import Database
from tests.web.serving import TABLE, serving
from trio_bridge.live.faults import answer as respond
from trio_bridge.live.server import LiveServer
from trio_bridge.web.moment import Duration, Moment, RouteMoment
from trio_bridge.web.terminal import render


async def command(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TRIO_BRIDGE_")}
    done = await trio.run_process(
        [sys.executable, "-m", "trio_bridge", *arguments],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env=environment | {"COLUMNS": "80"} | more,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


async def test_a_running_service_is_shown_and_healthy(database: Database) -> None:
    """A table for people, the service's own JSON for programs, and exit code 0; found by its setting or by --url."""
    async with LiveServer() as live, serving(database, live) as (service, _):
        await live.wait_connections(1)
        assert service.url is not None
        shown = await command("status", "--url", service.url)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert TABLE in shown.stdout
        assert "running" in shown.stdout
        told = await command("status", "--json", TRIO_BRIDGE_HTTP_LISTEN=service.url.removeprefix("http://"))
        assert json.loads(told.stdout)["routes"][0]["name"] == TABLE
        healthy = await command("healthcheck", "--url", service.url)
        assert (healthy.returncode, healthy.stdout) == (0, "ready\n")

        live.faults.refusal = respond(403)
        live.faults.cut()
        while (ill := await command("healthcheck", "--url", service.url)).returncode == 0:
            pass
        assert ill.returncode == 1
        assert len(ill.stdout.splitlines()) == 1
        assert TABLE in ill.stdout


async def test_no_service_is_one_line() -> None:
    """Where nothing listens, both say so in one line, with exit code 1; where it is off, that it is off."""
    for name in ("status", "healthcheck"):
        done = await command(name, "--url", "http://127.0.0.1:9")
        assert done.returncode == 1
        (line,) = (done.stdout + done.stderr).splitlines()
        assert "nothing answers at http://127.0.0.1:9" in line
        off = await command(name, TRIO_BRIDGE_HTTP_LISTEN="off")
        assert (off.returncode, len(off.stderr.splitlines())) == (2, 1)


async def test_something_else_is_no_bridge() -> None:
    """Another web server is told from a bridge."""
    async with LiveServer() as other:
        for name in ("status", "healthcheck"):
            done = await command(name, "--url", other.url)
            assert done.returncode == 1
            assert "is not a trio_bridge" in done.stdout + done.stderr


def test_a_health_check_loads_nothing_heavy() -> None:
    """It runs every few seconds in each container: neither Trio nor libpq nor a web framework."""
    program = (
        "import sys; from trio_bridge.cli import main; main(['healthcheck', '--url', 'http://127.0.0.1:9'],"
        " standalone_mode=False); print({'trio', 'psycopg', 'starlette', 'httpx', 'msgspec'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.splitlines()[-1] == "set()", done.stderr


async def test_watching_tells_a_line_a_second(database: Database, tmp_path: Path) -> None:
    """In a pipe, --watch --json gives one moment after the other until it is interrupted, then ends without a word."""
    async with LiveServer() as live, serving(database, live) as (service, _):
        await live.wait_connections(1)
        errors = tmp_path / "errors"
        with errors.open("wb") as stderr:
            process = subprocess.Popen(  # noqa: ASYNC220  (it is made in a moment)
                [
                    sys.executable,
                    "-m",
                    "trio_bridge",
                    "status",
                    "--watch",
                    "--json",
                    "--url",
                    service.url or "",
                ],
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={key: value for key, value in os.environ.items() if not key.startswith("TRIO_BRIDGE_")},
            )
        with process:
            assert process.stdout is not None
            lines = [await trio.to_thread.run_sync(process.stdout.readline) for _ in range(2)]
            process.send_signal(2)
            code = await trio.to_thread.run_sync(process.wait)
    moments = [json.loads(line) for line in lines]
    assert moments[1]["uptime_s"] - moments[0]["uptime_s"] > 0.5
    assert code == 130
    assert errors.read_text() == ""


ROUTE = RouteMoment(
    name="public.a_table_with_a_rather_long_name",
    source="public.t",
    stream="pg",
    phase="running",
    mode="poll",
    ready=True,
    reason="",
    postgres="up",
    grafana="up",
    seen=12_345_678,
    acknowledged=12_345_678,
    rejected=12,
    returned=0,
    pending=98_765,
    messages=1,
    keyframes=1,
    bytes=1,
    gaps=0,
    restarts=0,
    seen_per_s=12_000.4,
    acknowledged_per_s=12_000.4,
    messages_per_s=10,
    bytes_per_s=1,
    recent=(),
    bell_to_push=Duration(None, None),
    push_to_ack=Duration(0.0123, 0.2),
    row_age=Duration(0.1, 0.2),
    lag_s=0.08,
    checkpoint_age_s=0,
    postgres_age_s=0,
    grafana_age_s=0,
    queue_usage=0,
    oldest_transaction_s=0,
    unacknowledged_bytes=0,
    waiting=(0, 0, 0),
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["running, polling", "12,000", "12,345,678", "98,765", "12 ms", "80 ms"]),
        (
            {"postgres": "down", "ready": False, "reason": "no route to host"},
            ["Postgres down", "no route to host"],
        ),
        ({"grafana": "down", "ready": False, "reason": "refused", "lag_s": 400.0}, ["Grafana down", "7 min"]),
        ({"phase": "standby", "mode": "", "lag_s": None}, ["standby"]),
    ],
)
def test_the_table_fits_80_columns(changes: dict[str, object], words: list[str]) -> None:
    """Every figure is readable in a plain terminal, and a route in trouble says which."""
    route = msgspec.structs.replace(ROUTE, **changes)
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(render(Moment("1.0", 75.0, stopping=False, ready=route.ready, routes=(route,))))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    for word in words:
        assert word in text, text
