"""The demo's database: ready to be watched, the bridge an ordinary role, and asked the right questions."""

from __future__ import annotations

import time
from functools import partial

import psycopg
import pytest
import trio

from tests import pg
from trio_bridge.config.dsn import with_password
from trio_bridge.config.settings import PostgresSettings
from trio_bridge.demo.database import ROUTE, open_database
from trio_bridge.demo.schedule import Schedule
from trio_bridge.demo.writer import Writer


async def test_embedded_server_for_one_run() -> None:
    """An embedded server is there while it is needed and gone afterwards; the bridge cannot write the table."""
    async with open_database(None) as opened:
        assert opened.server is not None
        directory = opened.server.directory
        with psycopg.connect(with_password(opened.bridge), autocommit=True) as bridge:
            assert bridge.execute("SELECT count(*) FROM live_metrics").fetchone() == (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                bridge.execute("INSERT INTO live_metrics (value) VALUES (1)")
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(opened.bridge.dsn)
        assert opened.owner not in repr(opened)
    assert not directory.exists()


async def test_embedded_server_ends_when_cancelled() -> None:
    """Cancellation in the middle leaves no server behind."""
    with trio.CancelScope() as scope:
        async with open_database(None) as opened:
            assert opened.server is not None
            directory = opened.server.directory
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert not directory.exists()


async def test_named_server_is_used_as_it_is(database: pg.Database) -> None:
    """The operator's own server is prepared, used with the operator's role, and never stopped."""
    named = PostgresSettings(dsn=database.dsn)
    async with open_database(named) as opened:
        assert opened.server is None
        assert opened.bridge is named
    assert database.execute("SELECT name FROM trio_bridge.checkpoint") == [(ROUTE,)]
    assert database.execute("SELECT count(*) FROM live_metrics") == [(0,)]


async def test_table_is_asked_for_this_run_only(database: pg.Database) -> None:
    """Instants come back exactly, in whatever number, without the rows of an earlier run."""
    async with open_database(PostgresSettings(dsn=database.dsn)) as opened:
        schedule = Schedule(time.time_ns() // 1_000, 1_000)
        database.execute("INSERT INTO live_metrics (timestamp) SELECT now() - interval '1 day'")
        writer = Writer(opened.connect, schedule)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            while writer.statistics().committed < 100:
                await trio.sleep(0.01)
            writer.stop()
        written = writer.statistics().committed
        assert sorted(opened.times_us(schedule)) == [schedule.time_us(number) for number in range(written)]
        # Nobody has acknowledged anything yet; then a checkpoint that covers all, and one row more.
        assert opened.unacknowledged(schedule) == written
        database.execute("UPDATE trio_bridge.checkpoint SET snapshot = pg_current_snapshot()")
        assert opened.unacknowledged(schedule) == 0
        database.execute("INSERT INTO live_metrics (value) VALUES (1)")
        assert opened.unacknowledged(schedule) == 1


async def test_only_the_bridge_is_cut(database: pg.Database) -> None:
    """Of all sessions the bridge's is ended, and counted."""
    async with open_database(PostgresSettings(dsn=database.dsn)) as opened:
        connect = partial(psycopg.connect, database.dsn, autocommit=True)
        with connect(application_name=f"trio_bridge {ROUTE}") as bridge, connect() as bystander:
            assert opened.cut_bridge() == 1
            with pytest.raises(psycopg.OperationalError):
                bridge.execute("SELECT 1")
            assert bystander.execute("SELECT 1").fetchone() == (1,)
