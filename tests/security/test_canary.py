"""Secrets that are planted in real processes show in nothing that these write, serve, say or are called."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from click.testing import CliRunner
from psycopg import sql

from tests.chaos.bridges import BridgeProcess
from tests.faults.processes import events, wait_fact
from tests.security.canary import Canary, planted
from tests.security.leaky_bridge import BUG, PROGRAM
from trio_bridge.cli import main
from trio_bridge.config.names import parse_table
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.live.faults import answer
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install
from trio_bridge.secret import Secret

TABLE = "public.live_metrics"
OWNER = "canary-owner-Zk41Qw"
PASSWORD = "canary bridge' 7&\\Xr2"
ADMIN = 'canary-admin:"9Lm0_pQ'
PATHS = ("/", "/page.js", "/livez", "/readyz", "/metrics", "/status.json", "/nothing")
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'trio_bridge %'"
)


@pytest.fixture(scope="module")
def guarded() -> Iterator[EmbeddedPostgres]:
    """A server that asks for passwords (SCRAM), with the installed table and the bridge's role."""
    with EmbeddedPostgres(password=Secret(OWNER)) as server:
        with server.connect() as owner:
            owner.execute(sql.SQL("CREATE ROLE bridge LOGIN PASSWORD {}").format(PASSWORD))
        install(server.dsn(password=OWNER), parse_table(TABLE), routes=[TABLE], role="bridge")
        yield server


class World:
    """The servers, the files with the secrets, and what of them must show nowhere.

    Attributes:
        settings: of a bridge, as variables without their prefix.
    """

    def __init__(self, server: EmbeddedPostgres, live: LiveServer, folder: Path) -> None:
        self.server = server
        self.live = live
        self.folder = folder
        self.dsn = server.dsn(user="bridge")
        self.settings = {"grafana_token": "", "table": TABLE, "http_listen": "127.0.0.1:0"}
        for name, secret in (("grafana_token", live.token), ("postgres_password", PASSWORD)):
            self.settings[f"{name}_file"] = str(self.file(name, secret))
        self.canary = Canary(
            {"token": live.token, "password": PASSWORD, "owner's password": OWNER, "admin's password": ADMIN}
        )

    def file(self, name: str, secret: str) -> Path:
        """A file with a secret in it, for its owner only."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(secret)
        return path

    def environment(self, **more: str) -> dict[str, str]:
        """Of a command."""
        own = {"postgres_dsn": self.dsn, "grafana_url": self.live.url, **self.settings, **more}
        clean = {key: value for key, value in os.environ.items() if not key.startswith("TRIO_BRIDGE_")}
        return clean | {f"TRIO_BRIDGE_{key.upper()}": value for key, value in own.items()}

    def insert(self) -> None:
        """A row."""
        with self.server.connect() as owner:
            owner.execute(f"INSERT INTO {TABLE} (value) VALUES (1)")


@asynccontextmanager
async def world_of(server: EmbeddedPostgres, folder: Path) -> AsyncIterator[World]:
    async with LiveServer(password=ADMIN) as live:
        yield World(server, live, folder)


@asynccontextmanager
async def running(
    world: World, *wrapper: str, program: str = "trio_bridge", **settings: str
) -> AsyncIterator[BridgeProcess]:
    bridge = BridgeProcess(
        world.dsn, world.live, world.folder, program=program, **(world.settings | settings)
    )
    bridge.start(*wrapper)
    try:
        yield bridge
    finally:
        if bridge.alive:
            bridge.kill()


async def assert_serves_nothing(world: World, bridge: BridgeProcess) -> None:
    """Every path of the status port, with its headers, and the first of the events."""
    (served,) = events(bridge, "serving_status")
    async with httpx.AsyncClient(base_url=str(served["url"])) as client:
        for path in PATHS:
            got = await client.get(path)
            world.canary.assert_not_in(str(got.headers).encode() + got.content, path)
        place = client.base_url
    # The stream of events does not end by itself.
    async with await trio.open_tcp_stream(place.host, place.port or 80) as stream:
        await stream.send_all(b"GET /events HTTP/1.1\r\nHost: bridge\r\n\r\n")
        said = b""
        while b'"routes"' not in said:
            said += await stream.receive_some()
        world.canary.assert_not_in(said, "/events")


def self_only(environment: dict[str, str]) -> dict[str, str | None]:
    """For a command in this process: its own variables of ours, and no others."""
    others = {name: None for name in os.environ if name.startswith("TRIO_BRIDGE_")}
    return others | {name: text for name, text in environment.items() if name.startswith("TRIO_BRIDGE_")}


def log_of(world: World) -> bytes:
    return (world.folder / "bridge.log").read_bytes()


@pytest.mark.deadline(60)
async def test_a_life_with_everything_that_goes_wrong(guarded: EmbeddedPostgres, tmp_path: Path) -> None:
    """Delivery, a close frame, 500 and a redirect that say the token back, a wrong database password, 401: nowhere."""
    async with (
        world_of(guarded, tmp_path) as world,
        running(world, service_log_level="debug", service_restart_max_s="0.2") as bridge,
    ):
        live, token = world.live, world.live.token

        async def wait_said(words: str) -> None:
            await wait_fact(
                bridge, lambda: words in str([e["reason"] for e in events(bridge, "route_failed")])
            )
            await assert_serves_nothing(world, bridge)

        async def wait_delivered() -> None:
            live.faults.refusal = None
            before = live.counters.rows
            await wait_fact(bridge, lambda: bool(live.faults.peers))
            world.insert()
            await wait_fact(bridge, lambda: live.counters.rows > before)

        await wait_delivered()
        await assert_serves_nothing(world, bridge)
        called = await trio.Path(f"/proc/{bridge.pid}/cmdline").read_bytes()
        world.canary.assert_not_in(called, "the command line")
        with guarded.connect() as owner:
            seen = owner.execute("SELECT a::text FROM pg_stat_activity a WHERE usename = 'bridge'").fetchall()
        assert seen
        world.canary.assert_not_in(str(seen).encode(), "pg_stat_activity")

        live.faults.refusal = answer(500, body=f'{{"message": "who is {token}?"}}'.encode())
        await live.faults.close(1011, f"bye {token}")
        await wait_said("bye")
        await wait_said("who is ********?")
        live.faults.refusal = answer(302, {"Location": f"http://{token}/{token}"})
        await wait_said("redirects to ********")
        await wait_delivered()

        with guarded.connect() as owner:
            owner.execute("ALTER ROLE bridge PASSWORD 'another'")
            owner.execute(TERMINATE)
            await wait_said("password authentication failed")
            owner.execute(sql.SQL("ALTER ROLE bridge PASSWORD {}").format(PASSWORD))
        await wait_delivered()

        live.faults.refusal = answer(401, {"WWW-Authenticate": token}, token[:30].encode())
        live.faults.cut(reset=False)
        await wait_said("does not accept these credentials")
        assert await bridge.terminate() == 0
        world.canary.assert_not_in(log_of(world), "the log")


@pytest.mark.deadline(60)
async def test_tracebacks_of_bugs_and_refusals_of_a_user(guarded: EmbeddedPostgres, tmp_path: Path) -> None:
    """With user and password, and a log for people: two crashes amid revealed secrets, then 403 with the header."""
    async with world_of(guarded, tmp_path) as world:
        header = httpx.BasicAuth("admin", ADMIN)._auth_header
        basic = {
            "grafana_token_file": "",
            "grafana_username": "admin",
            "grafana_password_file": str(world.file("grafana_password", ADMIN)),
            "service_log_format": "console",
        }
        async with running(world, program=PROGRAM, **basic) as bridge:
            world.insert()
            await wait_fact(bridge, lambda: world.live.counters.rows > 0)
            assert log_of(world).count(f"Error: {BUG}".encode()) == log_of(world).count(b"Traceback") == 2
            world.live.faults.refusal = answer(403, body=f"{header} is {ADMIN}".encode())
            world.live.faults.cut(reset=True)
            await wait_fact(bridge, lambda: b"organisation role Admin" in log_of(world))
            assert await bridge.terminate() == 0
        assert planted(world.environment(**basic)).names == {
            "TRIO_BRIDGE_GRAFANA_PASSWORD_FILE",
            "TRIO_BRIDGE_POSTGRES_PASSWORD_FILE",
        }
        world.canary.assert_not_in(log_of(world), "the log")


@pytest.mark.deadline(60)
async def test_rotation_needs_no_restart(guarded: EmbeddedPostgres, tmp_path: Path) -> None:
    """A token made by `grafana token` and a password in its file: the running process goes on with them, silently."""
    new_password = "canary-after-rotation-3"
    async with world_of(guarded, tmp_path) as world, running(world) as bridge:
        live, old = world.live, world.live.token
        await wait_fact(bridge, lambda: bool(live.faults.peers))
        command = ["grafana", "token", "--admin-password-file", str(world.file("admin", ADMIN))]
        command += ["--out", world.settings["grafana_token_file"]]
        environment = self_only(world.environment(grafana_token_file=""))
        done = await trio.to_thread.run_sync(partial(CliRunner().invoke, main, command, env=environment))
        assert done.exit_code == 0, done.output
        live.accounts.revoke(old)
        with guarded.connect() as owner:
            owner.execute(sql.SQL("ALTER ROLE bridge PASSWORD {}").format(new_password))
            world.file("postgres_password", new_password)
            connections = live.counters.connections
            owner.execute(TERMINATE)
            await wait_fact(bridge, lambda: live.counters.connections > connections)
            rows = live.counters.rows
            world.insert()
            await wait_fact(bridge, lambda: live.counters.rows > rows)
            assert await bridge.terminate() == 0
            owner.execute(sql.SQL("ALTER ROLE bridge PASSWORD {}").format(PASSWORD))
        rotated = Canary(
            {"token": (tmp_path / "grafana_token").read_text().strip(), "password": new_password}
        )
        for canary in (rotated, world.canary):
            canary.assert_not_in(log_of(world) + done.output.encode(), "the log")
        assert not events(bridge, "route_crashed")


@pytest.mark.deadline(60)
async def test_a_bug_that_ends_the_program(guarded: EmbeddedPostgres, tmp_path: Path) -> None:
    """The interpreter's own traceback names the bug and no variable; no core is left."""
    async with world_of(guarded, tmp_path) as world:
        variables = {"grafana_token_file": "", "grafana_token": world.live.token}
        async with running(world, "env", "LEAK_LAST=1", program=PROGRAM, **variables) as bridge:
            assert await bridge.wait_exit() == 1
        assert BUG.encode() in log_of(world)
        world.canary.assert_not_in(log_of(world), "the log")


@pytest.mark.deadline(60)
async def test_what_commands_say_and_write(guarded: EmbeddedPostgres, tmp_path: Path) -> None:
    """Good and bad: neither outputs nor any file that they make, but for the token's own, which is closed to others."""
    async with world_of(guarded, tmp_path) as world:
        out = tmp_path / "out"
        admin = str(world.file("admin_password", ADMIN))
        token_command = ["grafana", "token", "--admin-password-file", admin, "--out", str(tmp_path / "new")]
        owner = {"postgres_dsn": guarded.dsn(), "postgres_password_file": str(world.file("owner", OWNER))}
        bad_dsn = {"postgres_password_file": "", "postgres_dsn": f"postgresql://bridge:{PASSWORD}@[h:x/d"}
        tls = {"grafana_url": world.live.url.replace("http:", "https:")}
        in_url = {"grafana_url": world.live.url.replace("://", f"://admin:{ADMIN.replace(':', '')}@")}
        commands: list[tuple[int, list[str], dict[str, str]]] = [
            (0, ["config"], {}),
            (0, ["doctor", "--json"], {}),
            (0, ["dashboard", "--out", str(out)], {}),
            (0, ["install", "--role", "bridge"], owner),
            (0, ["sql", "--role", "bridge"], owner),
            (0, token_command, {}),
            (1, ["status", "--url", "http://127.0.0.1:1"], {}),
            (2, ["config"], bad_dsn),
            (2, ["doctor"], in_url),
            (5, ["doctor"], tls),
            (3, ["doctor", "--json"], {"postgres_password_file": str(world.file("wrong", OWNER))}),
            (2, ["config", "--dsn", f"host=h password={OWNER}"], {}),
        ]
        said = b""
        for code, words, settings in commands:
            # In this process, because each would take a second to start.
            invoke = partial(CliRunner().invoke, main, words, env=self_only(world.environment(**settings)))
            done = await trio.to_thread.run_sync(invoke)
            assert done.exit_code == code, (words, done.output)
            assert done.output
            world.canary.assert_not_in(done.output.encode(), " ".join(words))
            said += done.output.encode()
        new = tmp_path / "new"
        assert new.stat().st_mode & 0o777 == 0o600
        made = Canary({"new token": new.read_text().strip()})
        written = [file for file in out.rglob("*") if file.is_file()]
        assert written
        for file in written:
            world.canary.assert_not_in(file.read_bytes(), str(file))
        made.assert_not_in(said, "a command")
