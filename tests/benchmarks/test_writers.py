"""The load is open-loop: what the database cannot take in time is late, and nothing that was due is left out."""

from __future__ import annotations

import time

import psycopg
import pytest
import trio

from benchmarks.systems import create_table
from benchmarks.writers import Load, Transaction
from tests.pg import Database


def test_the_log_names_the_rows_that_are_in_the_table(database: Database) -> None:
    """Numbers, and times in their order on the monotonic clock; single rows and many in a transaction."""
    create_table(database.dsn)
    before = time.monotonic()
    load = Load(1, 1_000, connections=3, rows=7)
    transactions = load.transactions(load.run(database.server.binaries, database.dsn))
    after = time.monotonic()
    with psycopg.connect(database.dsn) as connection:
        rows = [
            int(value) for (value,) in connection.execute("SELECT value FROM live_metrics ORDER BY value")
        ]
    logged = sorted(number for t in transactions for number in range(t.first, t.first + t.rows))
    assert logged == rows
    assert len(transactions) == 3 * load.transactions_each
    for transaction in transactions:
        assert before < transaction.due_s <= transaction.sent_s <= transaction.committed_s < after


async def test_a_stall_makes_all_rows_late_that_were_due(database: Database) -> None:
    """The table is locked for a second of two: the rows due meanwhile are written, and late by what is left of it."""
    create_table(database.dsn)
    stall_s = 1.0
    transactions: list[Transaction] = []

    async def write() -> None:
        load = Load(2, 200, connections=2)
        log = await trio.to_thread.run_sync(load.run, database.server.binaries, database.dsn)
        transactions.extend(load.transactions(log))

    with psycopg.connect(database.dsn) as connection:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            while not database.execute("SELECT 1 FROM live_metrics LIMIT 1"):
                await trio.sleep(0.01)
            connection.execute("LOCK TABLE live_metrics IN EXCLUSIVE MODE")
            began = time.monotonic()
            await trio.sleep(stall_s)
            connection.rollback()
            ended = time.monotonic()
    assert len(transactions) == 400
    stalled = [t for t in transactions if began < t.due_s < ended]
    # 200 a second are due, and Poisson's deviation is 14.
    assert len(stalled) == pytest.approx(200 * (ended - began), abs=70)
    for transaction in stalled:
        assert transaction.committed_s >= ended - 0.01
        assert transaction.committed_s - transaction.due_s >= ended - transaction.due_s - 0.01
