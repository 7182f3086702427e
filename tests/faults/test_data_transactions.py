"""Whatever transactions do with the table, what is committed arrives, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import trio

from tests.faults.readings import TABLE, readings, wait_notify
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.route import Route

INSERT = f"INSERT INTO {TABLE} (value, note) VALUES (%s, %s)"


@pytest.fixture(scope="module")
def durable() -> Iterator[EmbeddedPostgres]:
    """A server that these tests may crash."""
    with EmbeddedPostgres(fsync=True) as server:
        yield server


@pytest.mark.fault(33)
async def test_a_commit_while_the_bridge_is_away_is_found(database: Database) -> None:
    """A row whose transaction outlasts a whole life of the bridge and commits after it arrives in the next one."""
    async with readings(database.dsn) as world:
        with database.connect(autocommit=False) as slow:
            slow.execute(INSERT, (-1, "written first, committed last"))
            async with world.bridge():
                # Positions go past it, and are checkpointed.
                for _ in range(3):
                    before = world.checkpoint()
                    world.insert(5)
                    await wait_until(lambda old=before: world.checkpoint() != old)  # type: ignore[misc]
                assert world.sink.rows == 15
            slow.commit()
        async with world.bridge():
            await world.wait_all()
    assert world.sink.rows == 16


@pytest.mark.fault(34)
async def test_what_is_rolled_back_is_never_shown(database: Database) -> None:
    """ROLLBACK, ROLLBACK TO and an exception's block take their rows with them, in either mode."""
    async with readings(database.dsn) as world, world.bridge() as route:
        for _ in range(2):
            with database.connect() as writer:
                with writer.transaction(force_rollback=True):
                    writer.execute(INSERT, (1, "rolled back"))
                with writer.transaction():
                    writer.execute(INSERT, (2, "kept"))
                    with writer.transaction(force_rollback=True):
                        writer.execute(INSERT, (3, "rolled back to a savepoint"))
                writer.execute(
                    f"DO $$ BEGIN INSERT INTO {TABLE} (value) VALUES (4); RAISE 'no'; "
                    f"EXCEPTION WHEN raise_exception THEN INSERT INTO {TABLE} (value) VALUES (5); END $$"
                )
            await world.wait_all()
            await wait_notify(route)
    assert world.sink.rows == 4


@pytest.mark.fault(35)
@pytest.mark.deadline(60)
async def test_rows_under_savepoints_survive_a_crash(durable: EmbeddedPostgres) -> None:
    """Rows of transactions with savepoints, released or rolled back to, arrive after a crash that fell among them."""
    durable.create_database("savepoints")
    dsn = durable.dsn("savepoints")
    async with readings(dsn, repeats=True) as world, world.bridge() as route:
        for round_ in range(4):
            with psycopg.connect(dsn, autocommit=True) as writer:
                for number in range(20):
                    with writer.transaction():
                        writer.execute(INSERT, (number, "before"))
                        with writer.transaction(force_rollback=number % 3 == 0):
                            writer.execute(INSERT, (number, "under a savepoint"))
            if round_ % 2 == 0:
                await trio.to_thread.run_sync(durable.restart, "immediate")
                await wait_until(lambda crashes=round_ // 2 + 1: failures(route) >= crashes)  # type: ignore[misc]
        await world.wait_all()


def failures(route: Route) -> int:
    return route.ledger.statistics().restarts


@pytest.mark.fault(36)
async def test_no_order_of_ids_matters(database: Database) -> None:
    """Blocks of cached ids used by several sessions in turn, gaps and a sequence begun anew lose nothing."""
    async with readings(database.dsn) as world, world.bridge():
        world.execute(f"ALTER SEQUENCE {TABLE}_id_seq CACHE 100 START 1000000 RESTART")
        for _ in range(2):
            with database.connect() as first, database.connect() as second, database.connect() as late:
                late.execute("BEGIN")
                late.execute(INSERT, (0, "the lowest id, committed last"))
                for number in range(40):
                    (first if number % 2 else second).execute(INSERT, (number, ""))
                    if number % 7 == 0:
                        second.execute(f"SELECT nextval('{TABLE}_id_seq')")
                late.execute("COMMIT")
            world.execute(f"ALTER SEQUENCE {TABLE}_id_seq RESTART WITH 1")
        await world.wait_all()
    assert world.sink.rows == 82


@pytest.mark.fault(42)
async def test_what_was_changed_before_it_was_sent_arrives_as_it_is_now(database: Database) -> None:
    """Of rows that change while the bridge is away the latest version arrives, of deleted ones nothing."""
    async with readings(database.dsn) as world:
        changed, deleted, left = world.insert(3, "first version")
        with database.connect() as writer, writer.transaction():
            writer.execute(f"UPDATE {TABLE} SET note = 'second version', value = 7 WHERE id = %s", (changed,))
            writer.execute(f"DELETE FROM {TABLE} WHERE id = %s", (deleted,))
        async with world.bridge() as route:
            await world.wait_all()
        # An update of what has been sent is no new row.
        world.execute(f"UPDATE {TABLE} SET note = 'first version' WHERE id = %s", left)
        assert world.sink.times(deleted) == 0
        statistics = route.ledger.statistics()
        assert (statistics.seen, statistics.acknowledged, statistics.returned) == (2, 2, 0)
