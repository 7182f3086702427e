"""The whole service: routes, replicas, starts that cannot work, ends by signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest
import trio
import trio.lowlevel
from msgspec import structs
from structlog.testing import capture_logs

from tests.chaos.bridges import BridgeProcess, running_bridge, settings_for
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import RouteSettings, ServiceSettings
from trio_bridge.errors import ConfigError
from trio_bridge.live.intake import Delivery
from trio_bridge.live.keyframes import DeltaFilter
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install
from trio_bridge.service import run_service

TABLE = "public.live_metrics"
ROUTE = RouteSettings(name=TABLE, table=TABLE, fields=("id", "value", "sensor"))


class Arrived(Counter[tuple[str, int]]):
    """Rows by measurement and value; the hook of a Live server."""

    def __init__(self) -> None:
        super().__init__()
        self._new = DeltaFilter()

    def __call__(self, delivery: Delivery) -> None:
        self.update((point.measurement, int(point.fields["value"])) for point in self._new(delivery))


def installed(database: Database, table: str = TABLE) -> None:
    install(database.dsn, parse_table(table), routes=[table])


def insert(database: Database, *values: int, table: str = TABLE) -> None:
    with database.connect() as connection:
        for value in values:
            connection.execute(f"INSERT INTO {table} (value) VALUES (%s)", (value,))


async def test_rows_of_two_routes_reach_their_measurements(database: Database) -> None:
    """Several routes run side by side; each row reaches its own measurement, once."""
    installed(database)
    database.execute(
        'CREATE TABLE "Öfen" (id int PRIMARY KEY, "timestamp" timestamptz DEFAULT now(), value int)'
    )
    installed(database, 'public."Öfen"')
    arrived = Arrived()
    async with LiveServer(on_message=arrived) as live:
        ovens = RouteSettings(name='public."Öfen"', table='public."Öfen"', measurement="ovens")
        async with running_bridge(settings_for(database.dsn, live, ROUTE, ovens)):
            await live.wait_connections(2)
            insert(database, 1, 2)
            database.execute('INSERT INTO "Öfen" (id, value) VALUES (1, 3)')
            await wait_until(lambda: arrived.total() == 3)
    assert arrived == {("live_metrics", 1): 1, ("live_metrics", 2): 1, ("ovens", 3): 1}


async def test_replicas_share_the_work_and_take_over(database: Database, tmp_path: Path) -> None:
    """Of two replicas one delivers; when it is killed the other goes on from the checkpoint."""
    installed(database)
    arrived = Arrived()
    async with LiveServer(on_message=arrived) as live:
        replicas = [BridgeProcess(database.dsn, live, tmp_path / name, table=TABLE) for name in ("a", "b")]
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        try:
            replicas[0].start()
            await live.wait_connections(1)
            replicas[1].start()
            await wait_until(lambda: any(record["event"] == "standby" for record in replicas[1].log()))
            insert(database, *range(50))
            await wait_until(lambda: len(arrived) == 50)
            assert live.counters.connections == 1
            replicas[0].kill()
            insert(database, *range(50, 100))
            await wait_until(lambda: len(arrived) == 100)
            assert live.counters.connections == 2
            assert await replicas[1].terminate() == 0
        finally:
            for replica in replicas:
                if replica.alive:
                    replica.kill()


@pytest.mark.fault(46)
async def test_channel_route_delivers_payloads_and_counts_what_is_no_row(database: Database) -> None:
    """Payloads become rows at once; garbage is counted by reason and stops nothing; a lost session is a gap."""
    arrived = Arrived()
    route = RouteSettings(name="feed", channel="influx_feed", measurement="feed")
    async with (
        LiveServer(on_message=arrived) as live,
        running_bridge(settings_for(database.dsn, live, route)) as service,
    ):
        ledger = service.routes[0].ledger
        await live.wait_connections(1)
        payloads = [
            '{"timestamp": "2026-01-01T00:00:00Z", "value": 1}',
            "no json",
            "[1, 2]",
            '{"timestamp": "2026-01-01T00:00:01Z", "value": "text"}',
            "[" * 3000,
            '{"value": 1}',
            '{"timestamp": 1767225602, "value": 2}',
        ]
        with database.connect() as connection:
            for payload in payloads:
                connection.execute("SELECT pg_notify('influx_feed', %s)", (payload,))
        await wait_until(lambda: ledger.statistics().seen == 7 and ledger.statistics().pending == 0)
        assert arrived == {("feed", 1): 1, ("feed", 2): 1}
        assert sum(ledger.statistics().rejected.values()) == 5
        with database.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trio_bridge feed'"
            )
        await live.wait_connections(2)
        assert ledger.statistics().gaps == 1
        with database.connect() as connection:
            connection.execute("SELECT pg_notify('influx_feed', %s)", (payloads[0].replace("1}", "3}"),))
        await wait_until(lambda: arrived["feed", 3] == 1)


async def test_a_rejected_row_harms_no_neighbour_and_is_checkpointed(database: Database) -> None:
    """A row that cannot be a line is counted and logged by key; its neighbours arrive, a restart repeats nothing."""
    installed(database)
    arrived = Arrived()
    async with LiveServer(on_message=arrived) as live:
        with capture_logs() as logs:
            async with running_bridge(settings_for(database.dsn, live, ROUTE)) as service:
                await live.wait_connections(1)
                insert(database, 1)
                database.execute(f"INSERT INTO {TABLE} (timestamp, value) VALUES ('infinity', 2)")
                database.execute(f"INSERT INTO {TABLE} (value, sensor) VALUES (3, repeat('x', 200000))")
                insert(database, 4)
                await wait_until(lambda: len(arrived) == 2 and service.pending == 0)
                rejected = service.routes[0].ledger.statistics().rejected
        assert rejected == {"time_infinite": 1, "too_large": 1}
        said = {(entry["reason"], entry["key"]) for entry in logs if entry["event"] == "row_rejected"}
        assert said == {("time_infinite", "2"), ("too_large", "3")}
        async with running_bridge(settings_for(database.dsn, live, ROUTE)):
            await live.wait_connections(2)
            insert(database, 5)
            await wait_until(lambda: len(arrived) == 3)
    assert set(arrived.values()) == {1}


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        (RouteSettings(name="x", table="public.nothing"), "there is no table"),
        (RouteSettings(name="x", table=TABLE, time="when"), 'no column "when"'),
        (RouteSettings(name="x", table=TABLE, fields=("values",)), "value"),
        (RouteSettings(name="x", table=TABLE), "has no checkpoint"),
    ],
)
async def test_a_start_that_cannot_work_ends_with_one_sentence(
    database: Database, route: RouteSettings, sentence: str
) -> None:
    """What only the operator can mend ends the start, and says what to do."""
    installed(database)
    async with LiveServer() as live:
        with pytest.raises(ConfigError, match=sentence):
            await run_service(settings_for(database.dsn, live, route))


async def test_not_installed_is_one_sentence(database: Database) -> None:
    """A database without the bridge's schema says to run the installation."""
    async with LiveServer() as live:
        with pytest.raises(ConfigError, match="trio-bridge install"):
            await run_service(settings_for(database.dsn, live, ROUTE))


@pytest.mark.fault(12)
async def test_starts_before_postgres_and_grafana_and_waits_for_both(database: Database) -> None:
    """A service that starts before the servers that it needs stays up and delivers when they are there."""
    installed(database)
    arrived = Arrived()
    async with LiveServer(on_message=arrived) as live, trio.open_nursery() as nursery:
        nursery.start_soon(live.restart, 1.0)
        await trio.lowlevel.checkpoint()
        async with running_bridge(settings_for(database.dsn, live, ROUTE)) as service:
            insert(database, 1)
            await wait_until(lambda: service.routes[0].failure != "")
            await wait_until(lambda: len(arrived) == 1)
            await wait_until(lambda: service.routes[0].failure == "")


SILENT_SERVER = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
held = []
while True:
    held.append(server.accept())
"""


def environment(database: Database, url: str, **more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TRIO_BRIDGE_")}
    return clean | {
        "TRIO_BRIDGE_POSTGRES_DSN": database.dsn,
        "TRIO_BRIDGE_GRAFANA_URL": url,
        "TRIO_BRIDGE_GRAFANA_TOKEN": "glsa_nothing",
        "TRIO_BRIDGE_HTTP_LISTEN": "off",
        "TRIO_BRIDGE_TABLE": TABLE,
        **more,
    }


def test_operator_errors_exit_with_2_and_one_line(database: Database) -> None:
    """From the shell: exit code 2, one line on stderr, no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "trio_bridge", "run"],
        env=environment(database, "http://127.0.0.1:9"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    (line,) = [text for text in done.stderr.splitlines() if not text.startswith("{")]
    assert "trio-bridge install" in line


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.fault(5)
def test_a_second_signal_ends_at_once(database: Database, sent: signal.Signals) -> None:
    """While a drain hangs, because Grafana never answers, a second signal ends the process at once."""
    installed(database)
    silent = subprocess.Popen(
        [
            sys.executable, "-c",
            SILENT_SERVER,
        ],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert silent.stdout is not None
        port = int(silent.stdout.readline())
        process = subprocess.Popen(
            [sys.executable, "-m", "trio_bridge", "run"],
            env=environment(database, f"http://127.0.0.1:{port}", TRIO_BRIDGE_SERVICE_DRAIN_TIMEOUT_S="60"),
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        for line in process.stderr:
            if b'"running"' in line:
                break
        process.send_signal(sent)
        for line in process.stderr:
            if b'"stopping"' in line:
                break
        process.send_signal(sent)
        began = time.monotonic()
        assert process.wait(10) == 1
        assert time.monotonic() - began < 5
    finally:
        silent.kill()
        silent.wait()
        assert silent.stdout is not None
        silent.stdout.close()
        if process.stderr is not None:
            process.stderr.close()


@pytest.mark.fault(4)
async def test_a_drain_that_cannot_end_says_what_is_left(database: Database) -> None:
    """When Grafana does not acknowledge, the drain ends at its deadline and tells how many rows are left."""
    installed(database)
    async with LiveServer() as live:
        settings = structs.replace(
            settings_for(database.dsn, live, ROUTE), service=ServiceSettings(drain_timeout_s=0.5)
        )
        async with trio.open_nursery() as nursery:
            left = -1

            async def serve(task_status: trio.TaskStatus[object]) -> None:
                nonlocal left
                left = await run_service(settings, task_status=task_status)

            service = await nursery.start(serve)
            await live.wait_connections(1)
            live.faults.mute = True
            insert(database, 1, 2, 3)
            await wait_until(lambda: service.pending == 3)
            with capture_logs() as logs:
                service.stop.set()
                await wait_until(lambda: left >= 0)
    assert left == 3
    assert [entry["unacknowledged"] for entry in logs if entry["event"] == "not_drained"] == [3]


async def test_a_drain_that_fails_says_what_is_left(database: Database) -> None:
    """When Grafana goes away in the middle of a drain, nobody is told that all is well."""
    installed(database)
    async with LiveServer() as live, trio.open_nursery() as nursery:
        left = -1

        async def serve(task_status: trio.TaskStatus[object]) -> None:
            nonlocal left
            left = await run_service(settings_for(database.dsn, live, ROUTE), task_status=task_status)

        service = await nursery.start(serve)
        await live.wait_connections(1)
        live.faults.mute = True
        insert(database, 1, 2, 3)
        await wait_until(lambda: service.pending == 3)
        with capture_logs() as logs:
            service.stop.set()
            await wait_until(lambda: service.routes[0].status.phase == "draining")
            live.faults.cut()
            await wait_until(lambda: left >= 0)
    assert left == 3
    assert [entry["unacknowledged"] for entry in logs if entry["event"] == "not_drained"] == [3]


async def test_a_stop_between_two_runs_leaves_nothing(database: Database) -> None:
    """What a run had read that failed before the stop is nobody's any more: the table has it, or another replica."""
    installed(database)
    async with LiveServer() as live, trio.open_nursery() as nursery:
        left = -1

        async def serve(task_status: trio.TaskStatus[object]) -> None:
            nonlocal left
            left = await run_service(settings_for(database.dsn, live, ROUTE), task_status=task_status)

        service = await nursery.start(serve)
        await live.wait_connections(1)
        live.faults.mute = True
        insert(database, 1, 2, 3)
        await wait_until(lambda: service.pending == 3)
        await live.faults.close(1008)
        # The token is in doubt: the next run waits for a long while.
        await wait_until(lambda: bool(service.routes[0].failure))
        service.stop.set()
        await wait_until(lambda: left >= 0)
    assert left == 0


async def test_cancellation_leaves_no_session_behind(database: Database) -> None:
    """A cancelled service is gone within 100 ms, and so are its sessions in Postgres, also in the middle of a wait."""
    installed(database)
    async with LiveServer() as live:
        settings = settings_for(database.dsn, live, ROUTE)
        async with trio.open_nursery() as nursery:
            await nursery.start(run_service, settings)
            await live.wait_connections(1)
            began = trio.current_time()
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began < 1.0
    with psycopg.connect(database.dsn) as connection:
        deadline = time.monotonic() + 2
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'trio_bridge %'"
        while connection.execute(query).fetchone() != (0,):
            assert time.monotonic() < deadline
            connection.rollback()
