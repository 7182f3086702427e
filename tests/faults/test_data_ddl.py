"""The table is changed while rows flow: the operator's doing, told in a sentence and mended without a restart."""

from __future__ import annotations

import pytest
import trio
from structlog.testing import capture_logs

from tests.faults.readings import TABLE, readings
from tests.pg import Database
from tests.waiting import wait_until

CHANGES = {
    "drop": (
        f"ALTER TABLE {TABLE} DROP COLUMN note",
        f"ALTER TABLE {TABLE} ADD COLUMN note text DEFAULT ''",
        'no column "note"',
    ),
    "rename": (
        f"ALTER TABLE {TABLE} RENAME note TO remark",
        f"ALTER TABLE {TABLE} RENAME remark TO note",
        'no column "note"',
    ),
    "rename the table": (
        f"ALTER TABLE {TABLE} RENAME TO elsewhere",
        "ALTER TABLE public.elsewhere RENAME TO readings",
        "there is no table",
    ),
}


@pytest.mark.fault(43)
@pytest.mark.parametrize("change", CHANGES)
async def test_a_column_that_goes_stops_the_route_with_one_sentence_until_it_is_back(
    database: Database, change: str
) -> None:
    """A dropped or renamed column is told once, tried again without haste, and when it is back every row arrives."""
    away, back, sentence = CHANGES[change]
    async with readings(database.dsn, repeats=True) as world, world.bridge() as route:
        await world.wait_arrived(*world.insert(3))
        with capture_logs() as logs:
            world.execute(away)
            await wait_until(lambda: sentence in route.failure)
            meanwhile = "public.elsewhere" if "the table" in change else TABLE
            world.execute(f"INSERT INTO {meanwhile} (value) VALUES (1)")
            before = route.ledger.statistics()
            await trio.sleep(2)
            after = route.ledger.statistics()
            world.execute(back)
            await wait_until(lambda: route.failure == "")
        assert (after.seen, after.balanced) == (before.seen, True)
        # Full jitter up to a second: two a second on average.
        assert 1 <= after.restarts - before.restarts <= 10
        assert after.failures.get("bug", 0) == 0
        said = [entry["reason"] for entry in logs if entry["event"] == "route_failed"]
        assert sum(sentence in reason for reason in said) == 1, said
        assert len(said) <= 2
        await world.wait_arrived(*world.insert(3))
        await world.wait_all()


@pytest.mark.fault(43)
async def test_a_column_that_changes_its_type_rejects_what_does_not_fit_and_goes_on(
    database: Database,
) -> None:
    """Values that are no numbers any more are rejected, counted and named by key; all other rows arrive meanwhile."""
    async with readings(database.dsn) as world, world.bridge() as route:
        await world.wait_arrived(*world.insert(3))
        with capture_logs() as logs:
            world.execute(f"ALTER TABLE {TABLE} ALTER COLUMN value TYPE text USING NULL")
            world.execute(f"ALTER TABLE {TABLE} ALTER COLUMN note TYPE varchar(10)")
            unfit = world.insert(2)
            fit = world.execute(f"INSERT INTO {TABLE} (note) VALUES ('null fits') RETURNING id")
            await world.wait_arrived(fit[0][0])
            await wait_until(lambda: route.ledger.statistics().pending == 0)
        statistics = route.ledger.statistics()
        assert statistics.rejected == {"wrong_type": 2}
        assert (statistics.seen, statistics.acknowledged, statistics.restarts) == (6, 4, 0)
        assert {entry["key"] for entry in logs if entry["event"] == "row_rejected"} == {
            str(key) for key in unfit
        }
        # Put right, with the values that there were, nothing more is needed.
        world.execute(f"DELETE FROM {TABLE} WHERE id = ANY(%s)", unfit)
        world.execute(
            f"ALTER TABLE {TABLE} ALTER COLUMN value TYPE float8 USING CASE WHEN id <= 3 THEN id END"
        )
        await world.wait_arrived(*world.insert(3))
