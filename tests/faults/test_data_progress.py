"""A backlog too long for any single run: it is worked off all the same, because each run begins where one has saved."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from tests.faults.readings import TABLE, Readings, readings
from tests.pg import Database
from tests.waiting import wait_until

END_SESSIONS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'trio_bridge %'"
)


@pytest.mark.fault(44)
@pytest.mark.deadline(900)
async def test_a_backlog_whose_runs_are_all_cut_short_still_gets_through(
    database: Database, figures: Callable[..., None], *, full_length: bool
) -> None:
    """Every run that had one acknowledgement has moved the checkpoint on: the end comes."""
    # At full length until the backlog is gone, however often that is.
    rows, life_s, most_cuts = (1_000_000, 2.0, 1_000) if full_length else (40_000, 0.3, 5)
    async with readings(database.dsn, repeats=True) as world:
        world.execute(f"INSERT INTO {TABLE} (value) SELECT g FROM generate_series(1, {rows}) g")
        async with world.bridge() as route:
            cuts = 0
            while world.sink.rows < rows and cuts < most_cuts:
                connections, acknowledged = (
                    world.live.counters.connections,
                    route.ledger.statistics().acknowledged,
                )
                before = delivered(world, rows)
                await wait_until(lambda had=acknowledged: route.ledger.statistics().acknowledged > had)  # type: ignore[misc]
                await trio.sleep(life_s)
                if world.sink.rows == rows:
                    break
                cuts += 1
                if cuts % 2:
                    world.live.faults.cut(reset=True)
                else:
                    world.execute(END_SESSIONS)
                await world.live.wait_connections(connections + 1)
                assert delivered(world, rows) > before, "a run was in vain: this could go on for ever"
            await world.wait_all()
        assert cuts >= 2, "the backlog was gone before it could be cut: this run proves nothing"
        figures(cuts=cuts, duplicates=world.sink.duplicates, backlog_rows=rows)


def delivered(world: Readings, rows: int) -> int:
    """Rows of the one big transaction that the checkpoint has behind it."""
    _, target, _, after = world.checkpoint()
    if target is not None:
        return int(after[0])
    ((seen,),) = world.execute(
        f"SELECT count(*) FROM {TABLE} CROSS JOIN trio_bridge.checkpoint WHERE pg_visible_in_snapshot(txid, snapshot)"
    )
    assert seen in (0, rows)
    return int(seen)
