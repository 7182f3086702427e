"""The whole demo: it ends well only if every row arrived, and fails when one did not."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import trio
from rich.console import Console

from tests.pg import Database
from trio_bridge.config.settings import GrafanaSettings, PostgresSettings
from trio_bridge.demo import run, schedule
from trio_bridge.demo.run import DemoOptions, run_demo
from trio_bridge.errors import ConfigError
from trio_bridge.live.server import LiveServer
from trio_bridge.secret import Secret


def summary(text: str) -> dict[str, int]:
    """The figures at the end."""
    found = re.findall(
        r"^(committed|acknowledged|delivered|lost|duplicates|restarts) +([\d,]+)", text, re.MULTILINE
    )
    return {name: int(figure.replace(",", "")) for name, figure in found}


async def test_every_row_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embedded server, stand-in, page: all rows delivered once, and the page's figures are the table's."""
    servers: list[LiveServer] = []

    class Observed(LiveServer):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            servers.append(self)

    monkeypatch.setattr(run, "LiveServer", Observed)
    output = io.StringIO()
    exit_codes = []
    visits = []

    async def visit() -> None:
        """A browser without credentials: the page, the channels, and the events until the end."""
        while not servers or not servers[0].url:
            await trio.sleep(0.01)
        async with httpx.AsyncClient(base_url=servers[0].url) as client:
            assert "Every committed row" in (await client.get("/")).text
            await servers[0].wait_messages(1)
            channels = (await client.get("/api/live/list")).json()["channels"]
            assert [channel["channel"] for channel in channels] == ["stream/pg/live_metrics"]
        async with await trio.open_tcp_stream("127.0.0.1", servers[0].port) as stream:
            await stream.send_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = b""
            while received.count(b"}") < 3:
                received += await stream.receive_some()
        moments = [json.loads(text) for text in re.findall(rb"^data: (\{.*\})\n\n", received, re.MULTILINE)]
        assert [moment["phase"] for moment in moments][-1] == "running"
        assert 0 < moments[-1]["delivered"] <= moments[-1]["committed"]
        visits.append(len(moments))

    async def show() -> None:
        options = DemoOptions(rate=400, seconds=1.0, port=0)
        exit_codes.append(await run_demo(options, Console(file=output)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit)
        nursery.start_soon(show)
    assert exit_codes == [0], output.getvalue()
    assert visits[0] >= 3
    figures = summary(output.getvalue())
    assert figures["committed"] >= 100
    assert figures["acknowledged"] == figures["delivered"] == figures["committed"]
    assert (figures["lost"], figures["duplicates"], figures["restarts"]) == (0, 0, 0)
    assert "Every committed row arrived." in output.getvalue()


@pytest.mark.parametrize(("sensors", "fields"), [(1, {"value"}), (3, {"ambient", "bearing", "inlet"})])
async def test_rows_are_counted_without_keyframes(
    database: Database, monkeypatch: pytest.MonkeyPatch, sensors: int, fields: set[str]
) -> None:
    """With one series or several, each row is delivered once, although keyframes have repeated it to the page."""
    servers: list[LiveServer] = []

    class Observed(LiveServer):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options, keep_log=True)  # type: ignore[arg-type]
            servers.append(self)

    monkeypatch.setattr(run, "LiveServer", Observed)
    # So that a short run sees the last sensor.
    monkeypatch.setattr(schedule, "APPEARS_S", 0.5)
    output = io.StringIO()
    options = DemoOptions(
        rate=200, seconds=1.5, sensors=sensors, port=0, postgres=PostgresSettings(dsn=database.dsn)
    )
    assert await run_demo(options, Console(file=output)) == 0, output.getvalue()
    figures = summary(output.getvalue())
    assert figures["delivered"] == figures["committed"] > 200
    assert (figures["lost"], figures["duplicates"]) == (0, 0)
    points = [point for delivery in servers[0].deliveries for point in delivery.points]
    assert len(points) > figures["committed"], "no keyframe was sent: this run proves nothing"
    assert {name for point in points for name in point.fields if not name.startswith("_")} == fields


async def test_lost_rows_fail_the_run(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Live server that acknowledges and loses everything is found out: exit code 1, and the number of rows."""

    class Losing(LiveServer):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            self.faults.drop_in_silence = True

    monkeypatch.setattr(run, "LiveServer", Losing)
    output = io.StringIO()
    options = DemoOptions(rate=100, seconds=0.5, port=0, postgres=PostgresSettings(dsn=database.dsn))
    assert await run_demo(options, Console(file=output)) == 1
    figures = summary(output.getvalue())
    assert figures["lost"] == figures["committed"] > 0
    assert f"WRONG: {figures['committed']} committed rows never arrived" in output.getvalue()


async def test_own_postgres_and_own_grafana(database: Database) -> None:
    """With both servers named, nothing is started, and the rows go from the one to the other."""
    async with LiveServer(keep_log=True) as grafana:
        options = DemoOptions(
            rate=200,
            writers=3,
            seconds=1.0,
            postgres=PostgresSettings(dsn=database.dsn),
            grafana=GrafanaSettings(url=grafana.url, token=Secret(grafana.token)),
        )
        output = io.StringIO()
        assert await run_demo(options, Console(file=output)) == 0
        got = {point.time_ns // 1_000 for delivery in grafana.deliveries for point in delivery.points}
    stored = database.execute("SELECT (extract(epoch FROM timestamp) * 1000000)::bigint FROM live_metrics")
    assert got == {time_us for (time_us,) in stored}
    assert summary(output.getvalue())["committed"] == len(got) > 20


@pytest.mark.deadline(60)
async def test_chaos_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """While servers crash and connections break, every committed row arrives; the seed is told."""
    monkeypatch.setattr("trio_bridge.demo.chaos.PAUSE_S", (0.2, 0.4))
    monkeypatch.setattr("trio_bridge.demo.chaos.AWAY_S", (0.1, 0.4))
    output = io.StringIO()
    exit_codes = []
    async with trio.open_nursery() as nursery:

        async def show() -> None:
            options = DemoOptions(rate=500, writers=3, chaos=True, seed=3, port=0)
            exit_codes.append(await run_demo(options, Console(file=output, width=200)))

        nursery.start_soon(show)
        while acts(output.getvalue()) < 4 or not re.search(r"restarts=[1-9]", output.getvalue()):
            await trio.sleep(0.05)
        signal.raise_signal(signal.SIGINT)
    assert exit_codes == [0], output.getvalue()
    assert "chaos: seed 3" in output.getvalue()
    figures = summary(output.getvalue())
    assert figures["lost"] == 0
    assert figures["restarts"] >= 1
    assert figures["delivered"] == figures["acknowledged"] == figures["committed"] > 0


def acts(text: str) -> int:
    """How often something was broken."""
    return len(re.findall(r"^chaos: +[\d.]+ s ", text, re.MULTILINE))


async def test_taken_port_is_one_sentence() -> None:
    """A port that somebody has is the operator's to choose anew."""
    async with LiveServer() as other:
        with pytest.raises(ConfigError, match=f"port {other.port} on 127.0.0.1: .*choose another"):
            await run_demo(DemoOptions(port=other.port), Console(file=io.StringIO()))


IMPOSSIBLE = [
    DemoOptions(rate=0),
    DemoOptions(rate=200_000),
    DemoOptions(writers=0),
    DemoOptions(sensors=0),
    DemoOptions(sensors=51),
]


@pytest.mark.parametrize("options", IMPOSSIBLE)
async def test_impossible_options_are_refused(options: DemoOptions) -> None:
    """Options that cannot work are refused before anything is started."""
    with pytest.raises(ConfigError, match=r"the demo (writes|has) 1 to"):
        await run_demo(options)


def test_interrupt_ends_with_the_verdict(tmp_path: Path) -> None:
    """Ctrl-C stops the writers, waits for what is on its way, says how it went and leaves nothing behind."""
    program = (
        "import trio\n"
        "from trio_bridge.demo.run import DemoOptions, run_demo\n"
        "raise SystemExit(trio.run(run_demo, DemoOptions(port=0)))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as demo:
        assert demo.stdout is not None
        assert any("phase=running" in line for line in demo.stdout)
        assert list(tmp_path.glob("trio-bridge-pg-*"))
        demo.send_signal(signal.SIGINT)
        rest = demo.stdout.read()
    assert demo.returncode == 0
    assert "Every committed row arrived." in rest
    assert list(tmp_path.iterdir()) == []


async def test_second_interrupt_ends_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not want to wait for the last rows asks again, and gets no verdict."""

    async def interrupted(*_arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    monkeypatch.setattr(run, "_wait_acknowledged", interrupted)
    output = io.StringIO()
    options = DemoOptions(port=0, postgres=PostgresSettings(dsn=database.dsn))
    exit_codes = []
    async with trio.open_nursery() as nursery:

        async def show() -> None:
            exit_codes.append(await run_demo(options, Console(file=output)))

        nursery.start_soon(show)
        while "phase=running" not in output.getvalue():
            await trio.sleep(0.01)
        signal.raise_signal(signal.SIGINT)
    assert exit_codes == [1]
    assert summary(output.getvalue()) == {}
