"""Each service of ours as a process with the environment that compose.yaml gives it: rows arrive."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
import trio

from tests.compose.stack import FOLDER, World, services
from tests.waiting import wait_until
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.grafana.shipped import ROUTE
from trio_bridge.live import LiveServer
from trio_bridge.secret import Secret

NAMES = ("postgres", "bridge", "writer", "viewer", "grafana")


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(f"it's {name}\n")
    return folder


@pytest.fixture
def server(secrets: Path) -> Iterator[EmbeddedPostgres]:
    """As the image leaves it: a database, a superuser with a password, and roles.sql run once."""
    with EmbeddedPostgres(password=Secret((secrets / "postgres").read_text().strip())) as postgres:
        postgres.create_database("metrics")
        yield postgres


def dsn(server: EmbeddedPostgres, secrets: Path, role: str) -> str:
    return server.dsn("metrics", role, password=(secrets / role).read_text().strip())


def make_roles(server: EmbeddedPostgres, secrets: Path) -> None:
    """What psql does with roles.sql, which uses two of its features: a variable from a command, and it quoted."""
    text = (FOLDER / "roles.sql").read_text()
    for variable, name in re.findall(r"^\\set (\w+) `cat /run/secrets/(\w+)_password`$", text, re.MULTILINE):
        quoted = (secrets / name).read_text().strip().replace("'", "''")
        text = text.replace(f":'{variable}'", f"'{quoted}'")
    statements = re.sub(r"^\\.*$", "", text, flags=re.MULTILINE)
    with psycopg.connect(dsn(server, secrets, "postgres"), autocommit=True) as connection:
        connection.execute(statements.encode())


@contextmanager
def running(world: World, name: str) -> Iterator[subprocess.Popen[str]]:
    """A service while the block runs; killed if it does not end by itself in it."""
    with world.start(name) as process:
        try:
            yield process
        finally:
            process.kill()


async def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    with process:
        said, _ = await trio.to_thread.run_sync(process.communicate, abandon_on_cancel=True)
    return process.returncode, said


async def wait_while_running(fact: Callable[[], bool], *processes: subprocess.Popen[str]) -> None:
    """Until `fact` holds; a process that ends before it does will never make it hold."""

    def over() -> bool:
        return fact() or any(process.poll() is not None for process in processes)

    await wait_until(over)
    for process in processes:
        if process.poll() is not None:
            pytest.fail((await outcome(process))[1])


@asynccontextmanager
async def stack(
    server: EmbeddedPostgres, secrets: Path, tmp_path: Path
) -> AsyncIterator[tuple[World, LiveServer]]:
    """Postgres with its roles, and the stand-in for Grafana with its admin's password."""
    make_roles(server, secrets)
    async with LiveServer(password=(secrets / "grafana").read_text().strip(), keep_log=True) as live:
        hosts = {"postgres:5432": f"127.0.0.1:{server.port}", "http://grafana:3000": live.url}
        (tmp_path / "token").mkdir()
        yield World(hosts, secrets, tmp_path), live


def fields_seen(live: LiveServer) -> set[str]:
    """Names of the fields of every row that has arrived on the shipped dashboard's channel."""
    return {
        name
        for delivery in live.deliveries
        for point in delivery.points
        if (delivery.stream_id, point.measurement) == ("pg", "live_metrics")
        for name in point.fields
        if not re.fullmatch(r"_\d", name)
    }


@pytest.mark.deadline(60)
async def test_rows_flow_from_writer_to_grafana(
    server: EmbeddedPostgres, secrets: Path, tmp_path: Path
) -> None:
    """Bootstrap, bridges and writer: every sensor gets its field; the second bridge takes over; all end cleanly."""
    async with stack(server, secrets, tmp_path) as (world, live):
        code, said = await outcome(world.start("bootstrap"))
        assert code == 0, said
        assert "role Admin" in said
        with contextlib.ExitStack() as processes:
            first, writer = (processes.enter_context(running(world, name)) for name in ("bridge", "writer"))
            await wait_while_running(
                lambda: {"ambient", "bearing", "inlet"} <= fields_seen(live), first, writer
            )
            check = services()["bridge"]["healthcheck"]["test"]
            assert check[0] == "CMD"
            assert (await outcome(world.start("bridge", check[1:])))[0] == 0

            second = processes.enter_context(running(world, "bridge-2"))
            # Standing by is healthy too.
            while (await outcome(world.start("bridge-2", check[1:])))[0]:
                assert second.poll() is None, await outcome(second)
            # What comes on a newer connection was not under way when the first one died.
            newest = live.deliveries[-1].connection
            first.kill()
            await trio.to_thread.run_sync(first.wait)
            assert (await outcome(world.start("bridge", check[1:])))[0] == 1
            await wait_while_running(lambda: live.deliveries[-1].connection > newest, second, writer)

            for process in (writer, second):
                process.send_signal(signal.SIGTERM)
                assert (await outcome(process))[0] == 0
        with psycopg.connect(dsn(server, secrets, "viewer")) as viewer:
            written = viewer.execute("SELECT sensor, count(*) FROM live_metrics GROUP BY 1").fetchall()
        assert {sensor for sensor, _ in written} == fields_seen(live)


@pytest.mark.deadline(60)
async def test_bootstrap_may_run_again(server: EmbeddedPostgres, secrets: Path, tmp_path: Path) -> None:
    """`up` runs it each time: what is installed stays, and one token is left, the new one."""
    async with stack(server, secrets, tmp_path) as (world, live):
        tokens = []
        for _ in range(2):
            code, said = await outcome(world.start("bootstrap"))
            assert code == 0, said
            tokens.append(await trio.Path(tmp_path / "token" / "grafana_token").read_text())
        (account,) = live.accounts.find("trio-bridge")
        assert tokens[0] != tokens[1]
        assert len(live.accounts.tokens_of(account)) == 1


@pytest.mark.parametrize("failing", ["postgres", "grafana"])
async def test_bootstrap_fails_when_half_of_it_fails(
    server: EmbeddedPostgres, secrets: Path, tmp_path: Path, failing: str
) -> None:
    """A wrong password of either side ends it with an exit code, so that the bridge is not started."""
    async with stack(server, secrets, tmp_path) as (world, _):
        (secrets / failing).write_text("wrong")
        code, said = await outcome(world.start("bootstrap"))
        assert code != 0, said
        assert not await trio.Path(tmp_path / "token" / "grafana_token").exists()


def refused(server: EmbeddedPostgres, secrets: Path, role: str, statement: str) -> bool:
    with psycopg.connect(dsn(server, secrets, role)) as connection:
        try:
            connection.execute(statement.encode())
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction):
            return True
    return False


async def test_nobody_may_more_than_they_need(
    server: EmbeddedPostgres, secrets: Path, tmp_path: Path
) -> None:
    """The writer inserts, the viewer reads, neither does the other's; the bridge reads and does not write."""
    insert = "INSERT INTO public.live_metrics (value) VALUES (1)"
    read = "SELECT FROM public.live_metrics"
    async with stack(server, secrets, tmp_path) as (world, _):
        assert (await outcome(world.start("bootstrap")))[0] == 0
        allowed = {
            (role, statement)
            for role in ("writer", "viewer", "bridge")
            for statement in (insert, read, "DELETE FROM public.live_metrics")
            if not await trio.to_thread.run_sync(partial(refused, server, secrets, role, statement))
        }
    assert allowed == {("writer", insert), ("viewer", read), ("bridge", read)}


@pytest.mark.skipif(shutil.which("psql") is None, reason="there is no psql on this machine")
def test_psql_itself_reads_the_roles(server: EmbeddedPostgres, secrets: Path, tmp_path: Path) -> None:
    """The image's psql is given this file; this machine's makes the same roles of it, with the same passwords."""
    script = tmp_path / "roles.sql"
    text = (FOLDER / "roles.sql").read_text()
    script.write_text(re.sub(r"/run/secrets/(\w+)_password", rf"'{secrets}/\1'", text))
    subprocess.run(
        [
            "psql",
            "-v",
            "ON_ERROR_STOP=1",
            "--no-psqlrc",
            "-q",
            "-f",
            script,
            dsn(server, secrets, "postgres"),
        ],
        check=True,
    )
    for role in ("bridge", "writer", "viewer"):
        with psycopg.connect(dsn(server, secrets, role)) as connection:
            assert connection.info.user == role


def test_the_bridge_is_set_up_as_its_dashboard_expects() -> None:
    """Series, window and table are those for which the shipped dashboard was made."""
    environment = services()["bridge"]["environment"]
    assert environment["TRIO_BRIDGE_TABLE"] == ROUTE.table
    assert environment["TRIO_BRIDGE_SERIES"] == ROUTE.series
    assert environment["TRIO_BRIDGE_HISTORY_ROWS"] == str(ROUTE.history_rows)
    assert services()["bridge-2"]["environment"] == environment
