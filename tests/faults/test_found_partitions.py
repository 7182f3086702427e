"""Partitions come and go while rows flow: what they bring with them is not sent, and nothing else is disturbed."""

from __future__ import annotations

import pytest

from tests.faults.readings import TABLE, readings, wait_notify
from tests.pg import Database

COLUMNS = """
    id bigint NOT NULL, part smallint NOT NULL, "timestamp" timestamptz NOT NULL DEFAULT clock_timestamp(),
    value double precision, note text, PRIMARY KEY (id, part)
"""
SCHEMA = f"""
    CREATE TABLE {TABLE} ({COLUMNS}) PARTITION BY LIST (part);
    CREATE TABLE public.part_0 PARTITION OF {TABLE} FOR VALUES IN (0);
    CREATE TABLE public.part_1 ({COLUMNS});
"""
ATTACH = f"ALTER TABLE {TABLE} ATTACH PARTITION public.part_1 FOR VALUES IN (1)"
DETACH = f"ALTER TABLE {TABLE} DETACH PARTITION public.part_1"


@pytest.mark.fault(130)
async def test_partitions_are_attached_and_detached_while_rows_flow(database: Database) -> None:
    """Rows that come with a partition are not sent, as the handbook says; all others are, wherever they go in."""
    async with readings(database.dsn, schema=SCHEMA) as world, world.bridge() as route:
        number = 0

        def insert(table: str, part: int) -> int:
            nonlocal number
            number += 1
            world.execute(f"INSERT INTO {table} (id, part, value) VALUES (%s, %s, 1)", number, part)
            return number

        await world.wait_arrived(insert(TABLE, 0))
        # As one that had been the table's own before, it has the column, and its rows a transaction.
        world.execute("ALTER TABLE public.part_1 ADD txid xid8 DEFAULT pg_current_xact_id()")
        brought = [insert("public.part_1", 1) for _ in range(5)]
        await world.wait_arrived(insert(TABLE, 0))
        world.execute(ATTACH)
        await wait_notify(route)
        await world.wait_arrived(insert(TABLE, 0), insert(TABLE, 1), insert("public.part_1", 1))
        world.execute(DETACH)
        brought += [insert("public.part_1", 1) for _ in range(5)]
        await world.wait_arrived(insert(TABLE, 0))
        world.execute(ATTACH)
        await wait_notify(route)
        await world.wait_arrived(insert(TABLE, 0), insert(TABLE, 1), insert("public.part_1", 1))
        assert not any(world.sink.times(key) for key in brought)
        assert route.ledger.statistics().restarts == 0
        world.execute(f"DELETE FROM {TABLE} WHERE id = ANY(%s)", brought)
