"""The writers: the right rows at the right rate, and honest about what they do not know."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psycopg
import pytest
import trio

from tests.pg import Database
from trio_bridge.demo.postgres import EmbeddedPostgres, StopMode
from trio_bridge.demo.schedule import Schedule
from trio_bridge.demo.writer import Writer

TABLE = """
    CREATE TABLE live_metrics (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        "timestamp" timestamptz NOT NULL,
        value double precision,
        sensor text
    )
"""


class Reports:
    """What a writer said it has committed."""

    def __init__(self, enough: int) -> None:
        self.numbers: list[int] = []
        self._enough = enough
        self._token = trio.lowlevel.current_trio_token()
        self.complete = trio.Event()

    def __call__(self, numbers: Sequence[int], at: float) -> None:
        assert at <= time.monotonic()
        self.numbers.extend(numbers)
        if len(self.numbers) >= self._enough:
            trio.from_thread.run_sync(self.complete.set, trio_token=self._token)


def stored(connection: psycopg.Connection, schedule: Schedule) -> list[int]:
    """Numbers of the rows in the table; checks that each row says what the schedule says."""
    statement = "SELECT (extract(epoch FROM timestamp) * 1000000)::bigint, value, sensor FROM live_metrics"
    numbers = []
    for time_us, value, sensor in connection.execute(statement):
        number = schedule.number(time_us)
        assert number is not None
        row = schedule.row(number)
        assert (value, sensor) == (row.value, row.sensor)
        numbers.append(number)
    return sorted(numbers)


@pytest.mark.parametrize("writers", [1, 3])
async def test_every_due_row_is_written_once(database: Database, writers: int) -> None:
    """Several writers share the rows: none is left out, none is written twice, all are reported."""
    database.execute(TABLE)
    schedule = Schedule(time.time_ns() // 1_000, 2_000)
    reports = Reports(enough=1_000)
    writer = Writer(database.connect, schedule, writers=writers, committed=reports)
    started = time.monotonic()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        await reports.complete.wait()
        # 1,000 rows at 2,000 a second: the last of them is due after 0.4995 s, never earlier.
        assert time.monotonic() - started >= 0.49
        writer.stop()
    with database.connect() as connection:
        numbers = stored(connection, schedule)
    assert numbers == sorted(reports.numbers)
    statistics = writer.statistics()
    assert statistics.committed == len(numbers) >= 1_000
    assert (statistics.uncertain, statistics.reconnects, statistics.connected, statistics.behind) == (
        0,
        0,
        0,
        0,
    )
    for index in range(writers):
        own = [number for number in numbers if number % writers == index]
        assert own == list(range(index, own[-1] + 1, writers))


async def test_cancelled_writer_ends_its_statement(database: Database) -> None:
    """Cancellation closes the connections; what was reported is in the table."""
    database.execute(TABLE)
    schedule = Schedule(time.time_ns() // 1_000, 500)
    reports = Reports(enough=20)
    writer = Writer(database.connect, schedule, committed=reports)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        await reports.complete.wait()
        nursery.cancel_scope.cancel()
    with database.connect() as connection:
        assert stored(connection, schedule) == sorted(reports.numbers)


async def test_broken_connection_leaves_rows_uncertain(database: Database) -> None:
    """Rows whose insert was cut off are counted as uncertain, never as committed, and the rest goes on."""
    database.execute(TABLE)
    schedule = Schedule(time.time_ns() // 1_000, 200)
    reports = Reports(enough=200)
    writer = Writer(lambda: database.connect(application_name="victim"), schedule, committed=reports)
    with database.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE live_metrics IN EXCLUSIVE MODE")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            victim = await blocked_session(database)
            assert writer.statistics().connected == 1
            assert writer.statistics().committed == 0
            database.execute("SELECT pg_terminate_backend(%s, 5000)", victim)
            blocker.rollback()
            await reports.complete.wait()
            writer.stop()
    statistics = writer.statistics()
    assert statistics.uncertain >= 1
    assert statistics.reconnects == 1
    with database.connect() as connection:
        numbers = stored(connection, schedule)
    # The lock kept the first statement from happening, so here the table says that the uncertain rows are not.
    assert (
        numbers
        == sorted(reports.numbers)
        == list(range(statistics.uncertain, statistics.uncertain + len(numbers)))
    )


async def blocked_session(database: Database) -> int:
    """Waits until the writer's insert waits for the lock; the number of its backend."""
    while True:
        rows = database.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'victim' AND wait_event_type = 'Lock'"
        )
        if rows:
            pid: int = rows[0][0]
            return pid
        await trio.sleep(0.01)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_server_restart_is_survived(mode: StopMode) -> None:
    """The server goes and comes; afterwards every reported row is there, and the schedule has no new holes."""
    with EmbeddedPostgres() as server:
        with server.connect() as connection:
            connection.execute(TABLE)
        schedule = Schedule(time.time_ns() // 1_000, 500)
        before, after = Reports(enough=100), Reports(enough=300)

        def committed(numbers: Sequence[int], at: float) -> None:
            (after if before.complete.is_set() else before)(numbers, at)

        writer = Writer(server.connect, schedule, writers=2, committed=committed)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            await before.complete.wait()
            await trio.to_thread.run_sync(server.restart, mode)
            await after.complete.wait()
            writer.stop()
        statistics = writer.statistics()
        reported = {*before.numbers, *after.numbers}
        assert statistics.committed == len(reported)
        with server.connect() as connection:
            there = set(stored(connection, schedule))
    assert reported <= there
    assert len(there - reported) <= statistics.uncertain
    assert statistics.reconnects >= 1
    holes = 0
    for index in range(2):
        own = {number for number in reported if number % 2 == index}
        holes += len(set(range(index, max(own), 2)) - own)
    assert holes <= statistics.uncertain


async def test_refusal_by_the_database_ends_the_writer(database: Database) -> None:
    """A missing table is no outage: all writers end with the database's own words."""
    writer = Writer(database.connect, Schedule(0, 100), writers=2)
    with pytest.raises(ExceptionGroup) as refusal:
        await writer.run()
    assert refusal.group_contains(psycopg.errors.UndefinedTable)
    assert writer.statistics().connected == 0
