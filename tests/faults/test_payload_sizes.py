"""Rows and batches around every limit of size: nothing is cut, nothing is too large for Grafana."""

from __future__ import annotations

import pytest

from tests.faults.rows import rows_of
from tests.pg import Database
from trio_bridge.decoder.lines import MAX_LINE_BYTES
from trio_bridge.sender.pace import MAX_MESSAGE_BYTES

TABLE = """
CREATE TABLE m (id int PRIMARY KEY, "timestamp" timestamptz DEFAULT '2026-01-01', t text)
"""
OVERHEAD = len('m id=100,t="" 1767225600000000000')
MIB = 1 << 20


@pytest.mark.fault(93)
async def test_one_row_around_the_limit(database: Database) -> None:
    """A line of exactly the limit is sent, one byte more is refused by reason, as are a row of 1 MiB and one of 10."""
    room = MAX_LINE_BYTES - OVERHEAD
    sizes = {
        101: room - 1,
        102: room,
        103: room + 1,
        104: MIB - 1,
        105: MIB,
        106: MIB + 1,
        107: 10 * MIB,
        108: 1,
    }
    async with rows_of(database, TABLE, fields=("id", "t")) as rows:
        for key, size in sizes.items():
            rows.execute("INSERT INTO m (id, t) VALUES (%s, repeat('x', %s))", key, size)
        books = await rows.settled(len(sizes))
        assert {key: len(str(point.fields["t"])) for key, point in rows.by_id.items()} == {
            key: size for key, size in sizes.items() if size <= room
        }
        assert books.rejected == {"too_large": 5}
        assert max(len(delivery.raw) for delivery in rows.live.deliveries) == MAX_LINE_BYTES


@pytest.mark.fault(93)
@pytest.mark.parametrize("total", [MAX_MESSAGE_BYTES, MIB])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
async def test_one_transaction_around_the_limits(database: Database, total: int, beyond: int) -> None:
    """Rows that make 64 KiB or 1 MiB together, or a byte less or more, go in messages of at most 64 KiB."""
    count = 32
    size = total // count - OVERHEAD - 1
    async with rows_of(database, TABLE, fields=("id", "t")) as rows:
        # A connection begins with small messages; these rows show that the line is fast.
        rows.execute("INSERT INTO m (id, t) SELECT g, repeat('y', 2000) FROM generate_series(201, 600) g")
        await rows.settled(400)
        rows.execute(
            f"""
            INSERT INTO m (id, t)
            SELECT g, repeat('x', {size} + CASE g WHEN 131 THEN 1 + {beyond} ELSE 0 END)
            FROM generate_series(100, {99 + count}) g
            """
        )
        books = await rows.settled(400 + count)
        assert books.rejected == {}
        messages = [delivery for delivery in rows.live.deliveries if delivery.raw.startswith(b"m id=1")]
        assert sum(len(message.raw) + 1 for message in messages) == total + beyond + 1
        assert all(len(message.raw) <= MAX_MESSAGE_BYTES for message in messages)
        if total == MAX_MESSAGE_BYTES:
            assert len(messages) == 1 + (beyond > 0)
