"""The checkpoint's row or table is gone, changed, older than it was, or somebody else's."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from tests.chaos.bridges import settings_for
from tests.faults.readings import ROUTE, TABLE, readings
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.config.names import parse_table
from trio_bridge.errors import ConfigError
from trio_bridge.postgres.install import install
from trio_bridge.service import run_service

BROKEN = {
    "DROP TABLE trio_bridge.checkpoint": "may not write trio_bridge.checkpoint: run `trio-bridge install",
    "ALTER TABLE trio_bridge.checkpoint DROP COLUMN after_key": "is not as `trio-bridge install` makes it",
    "ALTER TABLE trio_bridge.checkpoint RENAME snapshot TO position": "is not as `trio-bridge install` makes it",
    "ALTER TABLE trio_bridge.checkpoint ALTER epoch TYPE text": "is not as `trio-bridge install` makes it",
    "INSERT INTO trio_bridge.version (version) VALUES (2)": "is of version 2, this program knows 1",
    "UPDATE trio_bridge.checkpoint SET format = 2": "is of format 2, this program knows 1: upgrade it",
    "DROP SCHEMA trio_bridge CASCADE": "no schema trio_bridge, or this role may not use it: run `trio-bridge install`",
}


@pytest.mark.fault(94)
@pytest.mark.parametrize("change", BROKEN)
async def test_a_checkpoint_table_that_is_not_ours_ends_the_start(database: Database, change: str) -> None:
    """Missing, with other columns or newer: one sentence with the command to run, never a start from now."""
    async with readings(database.dsn) as world:
        world.execute(change)
        with pytest.raises(ConfigError) as refused:
            await run_service(settings_for(world.dsn, world.live, ROUTE))
        assert BROKEN[change] in str(refused.value)


@pytest.mark.fault(95)
async def test_a_row_that_goes_while_rows_flow_stops_the_route_until_it_is_made_again(
    database: Database,
) -> None:
    """Without its row a route never starts by itself: it says what to run, and goes on from where it was told to."""
    async with readings(database.dsn, repeats=True) as world, world.bridge() as route:
        await world.wait_arrived(*world.insert(3))
        world.execute("DELETE FROM trio_bridge.checkpoint")
        # The write that follows their acknowledgement, if not one before, finds that it is gone.
        world.insert(3)
        await wait_until(
            lambda: "has no checkpoint in this database: run `trio-bridge install`" in route.failure
        )
        world.insert(3)
        assert world.execute("SELECT * FROM trio_bridge.checkpoint") == []
        install(world.dsn, parse_table(TABLE), routes=[ROUTE.name], start="earliest")
        await world.wait_arrived(*world.insert(3))
        await world.wait_all()
        assert route.ledger.statistics().failures.get("bug", 0) == 0


@pytest.mark.fault(100)
async def test_an_older_checkpoint_repeats_rows_and_loses_none(
    database: Database, figures: Callable[..., None]
) -> None:
    """Restored from a backup it brings rows again, exactly those that came after it."""
    async with readings(database.dsn, repeats=True) as world:
        async with world.bridge():
            await world.wait_arrived(*world.insert(10))
        world.execute("CREATE TABLE public.backup AS SELECT * FROM trio_bridge.checkpoint")
        async with world.bridge():
            await world.wait_arrived(*world.insert(20))
        missed = world.insert(5)
        world.execute("UPDATE trio_bridge.checkpoint SET snapshot = (SELECT snapshot FROM public.backup)")
        async with world.bridge():
            await world.wait_arrived(*missed)
        figures(duplicates=world.sink.duplicates)
        assert world.sink.duplicates == 20


@pytest.mark.fault(101)
async def test_whoever_was_replaced_stops_and_begins_anew(database: Database) -> None:
    """A leader that another bridge replaced unseen is told so by its next write, and nothing that it sent is lost."""
    async with readings(database.dsn, repeats=True) as world, world.bridge() as route:
        await world.wait_arrived(*world.insert(3))
        # As a second bridge does that got past the lock: it begins an epoch of its own.
        world.execute("UPDATE trio_bridge.checkpoint SET epoch = epoch + 10")
        with capture_logs() as logs:
            await world.wait_arrived(*world.insert(3))
            await wait_until(lambda: route.ledger.statistics().restarts == 1)
            await world.wait_arrived(*world.insert(3))
        said = [entry["reason"] for entry in logs if entry["event"] == "route_failed"]
        assert said == ["another bridge has taken route 'public.readings' over"]
        # Begun by the first run, the second bridge, and the run that came after.
        assert world.execute("SELECT epoch FROM trio_bridge.checkpoint") == [(12,)]
