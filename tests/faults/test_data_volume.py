"""Much at a time: rows larger than a notification, a transaction of a million rows, a channel full of bells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import trio

from tests.chaos.run import queue_usage, wait_all_delivered
from tests.faults.readings import readings, wait_notify
from tests.load import measure
from tests.pg import Database
from trio_bridge.listener.modes import MIN_GAP_S

ROWS_FULL, ROWS_SHORT = 1_000_000, 100_000


@pytest.mark.fault(39)
async def test_rows_larger_than_a_notification_arrive_and_their_insert_succeeds(database: Database) -> None:
    """9,000 bytes, or 4,000 characters of two bytes, go in without an error while bells ring, and arrive."""
    async with readings(database.dsn) as world, world.bridge() as route:
        await wait_notify(route)
        for note in ("x" * 9_000, "é" * 4_000, "𝄞" * 2_000, "x" * 60_000):
            await world.wait_arrived(*world.insert(2, note))
        assert route.ledger.statistics().rejected == {}


@pytest.mark.fault(40)
@pytest.mark.deadline(500)
async def test_a_copy_of_a_million_rows_passes_through_flat_memory(
    database: Database, tmp_path: Path, figures: Callable[..., None], *, full_length: bool
) -> None:
    """One transaction of 100,000 rows (a million at full length): memory stays flat, each row comes once."""
    rows = ROWS_FULL if full_length else ROWS_SHORT
    async with measure.bridge_world(database.dsn, tmp_path) as world:
        world.bridge.start()
        await measure.wait_connected(world)
        before = peak = world.bridge.rss_kib()
        usage = 0.0

        async def watch() -> None:
            nonlocal peak, usage
            while True:
                peak = max(peak, world.bridge.rss_kib())
                usage = max(usage, await trio.to_thread.run_sync(queue_usage, database.dsn))
                await trio.sleep(0.05)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await trio.to_thread.run_sync(copy, database.dsn, rows)
            began = trio.current_time()
            await wait_all_delivered(database.dsn, measure.TABLE, world.sink, limit_s=400)
            took_s = trio.current_time() - began
            nursery.cancel_scope.cancel()
        assert await world.bridge.terminate() == 0
        verdict = world.verdict()
    assert (verdict.committed, verdict.lost, verdict.altered, verdict.duplicates) == (rows, 0, 0, 0), verdict
    figures(growth_mib=(peak - before) / 1024, delivered_s=took_s, committed_rows=rows)
    # The window of a panel, three pages of at most a megabyte, their lines and messages; the rest is the allocator's.
    assert peak - before < 64 * 1024
    assert usage < 0.01


def copy(dsn: str, rows: int) -> None:
    with (
        psycopg.connect(dsn, autocommit=True) as connection,
        connection.cursor() as cursor,
        cursor.copy(f"COPY {measure.TABLE} (value, note) FROM STDIN") as stream,
    ):
        for _ in range(rows // 1000):
            stream.write("1.5\tbulk\n" * 1000)


@pytest.mark.fault(40)
@pytest.mark.parametrize("interval_ms", [0, 100])
async def test_a_flood_of_bells_makes_no_flood_of_deltas(
    database: Database, figures: Callable[..., None], interval_ms: int
) -> None:
    """At a stranger's 100,000 bells a second statements stay as far apart as ever, rows flow, the queue stays empty."""
    async with readings(database.dsn) as world, world.bridge(interval_ms=interval_ms) as route:
        await wait_notify(route)
        with flooded(database.dsn, 100_000) as rung:
            began, asked = trio.current_time(), route.status.statements
            usage = 0.0
            while trio.current_time() - began < 2:
                await world.wait_arrived(*world.insert())
                usage = max(usage, await trio.to_thread.run_sync(queue_usage, database.dsn))
            lasted_s, statements = trio.current_time() - began, route.status.statements - asked
            rate = rung[0] / lasted_s
        assert rate > 10_000, "hardly a bell rang: this run proves nothing"
        assert usage < 0.01
        # At the pace; for up to a fifth of a second, until it is found out that these bells are too many, at the
        # smallest gap; and beside the deltas gate, heartbeat, look and checkpoint.
        gap_s = max(interval_ms / 1000, MIN_GAP_S)
        assert statements <= 1.2 * lasted_s / gap_s + 0.2 / MIN_GAP_S + 20
        figures(
            **{
                f"pace_{interval_ms}_ms_statements_per_second": statements / lasted_s,
                "bells_per_second": rate,
            }
        )


@contextmanager
def flooded(dsn: str, rate: int) -> Iterator[list[int]]:
    """A session that has nothing to do with the table rings, a tenth as bells of a commit each; how often so far."""
    ending = threading.Event()
    rung = [0]

    def ring() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            due = time.monotonic()
            while not ending.is_set():
                connection.execute("""
                    DO $$ BEGIN
                        FOR i IN 1..500 LOOP PERFORM pg_notify('influx_feed', '*'); COMMIT; END LOOP;
                        PERFORM pg_notify('influx_feed', g::text) FROM generate_series(1, 4500) g;
                    END $$
                """)
                rung[0] += 5_000
                due += 5_000 / rate
                ending.wait(max(0.0, due - time.monotonic()))

    stranger = threading.Thread(target=ring)
    stranger.start()
    try:
        yield rung
    finally:
        ending.set()
        stranger.join()
