"""Several routes on three replicas: where they run when replicas come, go and come back."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
import trio
from structlog.testing import capture_logs

from tests.chaos.bridges import settings_for
from tests.chaos.run import FIELDS, wait_all_delivered
from tests.chaos.sink import Sink
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import RouteSettings, Settings
from trio_bridge.listener import share
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install
from trio_bridge.service import Service, run_service

Figures = Callable[..., None]

INTERVAL_S = 0.5
TABLES = [f"public.line_{number}" for number in range(4)]
ROUTES = [RouteSettings(name=table, table=table, fields=FIELDS) for table in TABLES]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked every ten seconds in life is asked twice a second."""
    monkeypatch.setattr(share, "GIVE_INTERVAL_S", INTERVAL_S)


@pytest.fixture
def lines(database: Database) -> Database:
    """Four watched tables, whose ids come from one sequence, and a view of all."""
    with database.connect() as connection:
        connection.execute("CREATE SEQUENCE line_id")
        for table in TABLES:
            connection.execute(
                f"CREATE TABLE {table} (id bigint PRIMARY KEY DEFAULT nextval('line_id'), "
                '"timestamp" timestamptz DEFAULT clock_timestamp(), value float8, note text)'
            )
    for table in TABLES:
        install(database.dsn, parse_table(table), routes=[table])
    rows = " UNION ALL ".join(f'SELECT id, "timestamp", value, note, txid FROM {table}' for table in TABLES)
    database.execute(f"CREATE VIEW line AS {rows}")
    return database


class Replica:
    """One that can be started and stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ended = trio.Event()
        self._service: Service | None = None

    async def start(self, nursery: trio.Nursery) -> None:
        self._ended = trio.Event()
        self._service = await nursery.start(self._run)

    async def stop(self) -> None:
        """Drain it."""
        assert self._service is not None
        self._service.stop.set()
        await self._ended.wait()

    async def _run(self, *, task_status: trio.TaskStatus[Service]) -> None:
        assert await run_service(self._settings, task_status=task_status) == 0
        self._ended.set()

    @property
    def leads(self) -> set[str]:
        """Names of the routes that it leads."""
        routes = [] if self._service is None else self._service.routes
        return {route.name for route in routes if route.status.phase == "running"}


async def keep_writing(dsn: str, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
    """A row into each table, again and again."""
    with psycopg.connect(dsn, autocommit=True) as connection, trio.CancelScope() as scope:
        task_status.started(scope)
        while True:
            for table in TABLES:
                connection.execute(f"INSERT INTO {table} (value) VALUES (1)")
            await trio.sleep(0.05)


@pytest.mark.deadline(90)
@pytest.mark.fault(102, 103)
async def test_a_replica_that_comes_back_gets_a_route_again(lines: Database, figures: Figures) -> None:
    """No replica stays idle while another leads two routes; routes move by a clean hand-over, and then stay."""
    sink = Sink()
    async with LiveServer(on_message=sink) as live, trio.open_nursery() as nursery:
        replicas = [Replica(settings_for(lines.dsn, live, *ROUTES)) for _ in range(3)]
        first, second, third = replicas

        def all_lead() -> bool:
            """Each leads at least one, and each route is led once."""
            led = [name for replica in replicas for name in replica.leads]
            return all(replica.leads for replica in replicas) and sorted(led) == TABLES

        def leading() -> list[set[str]]:
            return [replica.leads for replica in replicas]

        def given_away() -> int:
            return [entry["event"] for entry in logs].count("given_away")

        with capture_logs() as logs:
            await first.start(nursery)
            await wait_until(lambda: len(first.leads) == 4)
            writing = await nursery.start(keep_writing, lines.dsn)
            await second.start(nursery)
            await third.start(nursery)
            await wait_until(all_lead)
            await second.stop()
            await wait_until(lambda: len(first.leads | third.leads) == 4)
            await second.start(nursery)
            await wait_until(all_lead)
            # Who has just got its first route may be taken for idle for a moment still, and be given one more. Then
            # nothing moves any more, though each asks again and again.
            moves, settled = -1, [set[str]()]
            while (moves, settled) != (given_away(), leading()):
                moves, settled = given_away(), leading()
                await trio.sleep(4 * INTERVAL_S)
                await wait_until(all_lead)
            assert not [entry for entry in logs if entry["log_level"] in ("warning", "error")]
        writing.cancel()
        await wait_all_delivered(lines.dsn, "line", sink, limit_s=20)
        for replica in replicas:
            await replica.stop()
    with lines.connect() as connection:
        verdict = sink.compare(connection, "line")
    assert (verdict.lost, verdict.phantoms, verdict.altered, verdict.duplicates) == (0, 0, 0, 0), str(verdict)
    assert 3 <= moves <= 8
    figures(routes_given_away=moves)
