"""What Grafana itself may do: restart, drop, fail to publish; and what must never be asked of it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import trio
from msgspec import structs

from tests.faults.delivering import ROUTE
from tests.faults.pushing import BUSY_S, RESTART_MAX_S, pushing
from tests.faults.rows import rows_of
from tests.live.clients import subscriber
from tests.pg import Database
from tests.waiting import wait_until

Figures = Callable[..., None]


@pytest.mark.fault(76)
async def test_a_restart_in_the_middle_of_rows_loses_none(database: Database, figures: Figures) -> None:
    """Grafana restarts while rows flow: they come within a second of its return, and the first frame has the schema."""
    async with pushing(database.dsn, route=structs.replace(ROUTE, history_rows=0)) as world:
        async with trio.open_nursery() as nursery:
            # A message at a time, so that the restart falls between a message and its acknowledgement.
            world.live.faults.seconds_per_message = 0.05
            for _ in range(4):
                nursery.start_soon(world.insert, 500)
            await world.live.wait_messages(3)
            await world.live.restart(0.7)
            back = time.monotonic()
            world.live.faults.clear()
        async with subscriber(world.live) as viewer:
            channel = "1/stream/pg/chaos"
            reply = await viewer.subscribe(channel)
            frames = [reply["subscribe"]["data"]] if reply["subscribe"].get("data") else []
            await world.insert()
            _, frame = await viewer.publication()
            frames.append(frame)
            assert "schema" in frames[0]
        recovery_s = await world.wait_recovered([], back)
        verdict = await world.assert_intact()
    assert recovery_s < RESTART_MAX_S + BUSY_S + 1.0
    figures(recovery_s=recovery_s, duplicates=verdict.duplicates)


@pytest.mark.fault(81)
async def test_a_publication_that_fails_is_retried(database: Database) -> None:
    """An HA Grafana without its Redis cuts the socket at each message: nothing counts as sent, and all comes later."""
    async with pushing(database.dsn, restart_max_s=0.2) as world:
        await world.wait_arrived(await world.insert(5))
        world.live.faults.fail_publishing = True
        began = time.monotonic()
        rows = await world.insert(100)
        await wait_until(lambda: world.failures >= 4)
        assert {"without a close frame" in reason for reason in world.said("route_failed")} == {True}
        assert not any(world.sink.times(row) for row in rows)
        world.live.faults.clear()
        await world.wait_recovered(rows, began)
        verdict = await world.assert_intact()
    # Only the rows of before may come again: they are not in the checkpoint yet.
    assert verdict.duplicates <= 5


@pytest.mark.fault(80)
async def test_names_without_end_make_no_channels(database: Database) -> None:
    """Ten thousand sensors in a series route are one channel and its first series; the rest is refused and counted."""
    ddl = 'CREATE TABLE m (id int PRIMARY KEY, "timestamp" timestamptz DEFAULT now(), value int, sensor text)'
    async with rows_of(database, ddl, series="sensor", fields=("value",), max_series=100) as rows:
        rows.execute(
            "INSERT INTO m (id, value, sensor) SELECT g, g, 'sensor ' || g FROM generate_series(1, 10000) g"
        )
        books = await rows.settled(10_000)
        assert books.rejected == {"too_many_series": 9_900}
        assert {point.measurement for point in rows.points} == {"m"}
        assert len({name for point in rows.points for name in point.fields}) == 100
