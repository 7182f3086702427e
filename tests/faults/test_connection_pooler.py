"""A connection pooler between bridge and Postgres: refused before anything is trusted to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.bridges import BridgeProcess, settings_for
from tests.chaos.writers import TABLE
from tests.faults.delivering import ROUTE, prepare
from tests.faults.pgbouncer import IGNORED, PROGRAM, pgbouncer
from tests.pg import Database
from trio_bridge.config.settings import RouteSettings
from trio_bridge.errors import ConfigError
from trio_bridge.live.server import LiveServer
from trio_bridge.service import run_service

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs PgBouncer (Debian: apt-get install pgbouncer)")


@pytest.mark.fault(21, 109)
@pytest.mark.parametrize("ignored", ["", IGNORED])
async def test_a_transaction_pooler_ends_the_start(database: Database, tmp_path: Path, ignored: str) -> None:
    """Behind PgBouncer, strict or told to ignore what it does not know, the program ends with code 2 and names it."""
    prepare(database.dsn)
    with pgbouncer(database, tmp_path, mode="transaction", ignored=ignored) as dsn:
        async with LiveServer() as live:
            bridge = BridgeProcess(dsn, live, tmp_path, table=TABLE)
            bridge.start()
            assert await bridge.wait_exit() == 2
            assert live.counters.connections == 0
    said = (tmp_path / "bridge.log").read_text()
    assert "a connection pooler" in said
    assert "give the address of postgres itself" in said
    assert "Traceback" not in said


@pytest.mark.fault(21, 109)
@pytest.mark.parametrize(
    "route", [ROUTE, RouteSettings(name="feed", channel="feed")], ids=["table", "channel"]
)
async def test_a_session_pooler_is_refused_too(
    database: Database, tmp_path: Path, route: RouteSettings
) -> None:
    """In session mode PgBouncer still drops the settings that the delta and a frozen bridge's end depend on."""
    prepare(database.dsn)
    with pgbouncer(database, tmp_path, mode="session") as dsn:
        async with LiveServer() as live:
            with pytest.raises(ConfigError, match=r"PgBouncer.*settings of a session"):
                await run_service(settings_for(dsn, live, route))
    leaders = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    assert database.execute(leaders) == [(0,)]
