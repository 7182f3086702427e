"""A database is dumped and restored into another cluster: its transaction numbers mean nothing there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.chaos.bridges import BridgeProcess, running_bridge, settings_for
from tests.chaos.sink import Sink
from tests.faults.readings import ROUTE, TABLE, readings
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.config.names import parse_table
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install

BURN = "DO $$ BEGIN FOR i IN 1..{} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"


@pytest.fixture
def elsewhere() -> Iterator[EmbeddedPostgres]:
    """The cluster that the dump is restored into; it has begun fewer transactions."""
    with EmbeddedPostgres() as server:
        yield server


@pytest.mark.fault(45)
@pytest.mark.deadline(60)
@pytest.mark.parametrize("start", ["now", "earliest"])
async def test_a_dump_restored_elsewhere_is_refused_until_it_is_begun_anew(
    database: Database, elsewhere: EmbeddedPostgres, tmp_path: Path, start: Literal["now", "earliest"]
) -> None:
    """The bridge ends and says what to do; begun anew, it shows restored rows as told: never, or each once."""
    async with readings(database.dsn) as world, world.bridge():
        database.execute(BURN.format(3_000))
        await world.wait_arrived(*world.insert(50, "before the dump"))
    restore(database, elsewhere)
    dsn = elsewhere.dsn()
    with elsewhere.connect() as connection:
        sink = Sink()
        async with LiveServer(on_message=sink) as live:
            refused = BridgeProcess(dsn, live, tmp_path, table=TABLE)
            refused.start()
            assert await refused.wait_exit() == 2
            assert "written in another cluster" in (tmp_path / "bridge.log").read_text()
            connection.execute("DELETE FROM trio_bridge.checkpoint WHERE name = %s", (ROUTE.name,))
            install(dsn, parse_table(TABLE), routes=[ROUTE.name], start=start)
            restored = 50 if start == "earliest" else 0
            async with running_bridge(settings_for(dsn, live, ROUTE)) as service:
                await live.wait_connections(1)
                await wait_until(lambda: sink.rows == restored)
                # As many transactions as the other cluster had had: now the restored numbers would come true.
                connection.execute(BURN.format(4_000))
                connection.execute(f"INSERT INTO {TABLE} (value) SELECT g FROM generate_series(1, 10) g")
                await wait_until(lambda: sink.rows >= restored + 10)
                statistics = service.routes[0].ledger.statistics()
                assert (statistics.seen, statistics.restarts) == (restored + 10, 0)
        assert (sink.rows, sink.duplicates) == (restored + 10, 0)


def restore(database: Database, elsewhere: EmbeddedPostgres) -> None:
    binaries = elsewhere.binaries
    dump = subprocess.run(
        binaries.command("pg_dump", "--dbname", database.dsn), check=True, capture_output=True
    ).stdout
    subprocess.run(
        binaries.command("psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", elsewhere.dsn()),
        input=dump,
        check=True,
        capture_output=True,
    )
