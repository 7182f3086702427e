"""Asks the table for new rows at an interval, with the defaults that Telegraf documents for its agent.

interval 10 s, rounded to the clock; flush_interval 10 s, sooner when metric_batch_size (1,000) have gathered. New is
what has a larger id than the last: rows that commit in another order than that of their ids are never seen.
"""

import asyncio
import os
import time

import psycopg
import websockets

HEADERS = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
INTERVAL_S = 10
METRIC_BATCH_SIZE = 1_000
NEW = "SELECT id, timestamp, value FROM public.live_metrics WHERE id > %s ORDER BY id"


async def main() -> None:
    """Runs until killed."""
    last = 0
    lines: list[str] = []
    connection = await psycopg.AsyncConnection.connect(os.environ["DSN"], autocommit=True)
    async with websockets.connect(os.environ["PUSH_URL"], additional_headers=HEADERS) as socket:
        while True:
            await asyncio.sleep(INTERVAL_S - time.time() % INTERVAL_S)
            # What was gathered in the last interval is flushed now.
            if lines:
                await socket.send("\n".join(lines))
                lines = []
            for row in await (await connection.execute(NEW, (last,))).fetchall():
                last, timestamp, value = row
                lines.append(f"live_metrics value={value} {int(timestamp.timestamp() * 1_000_000_000)}")
                if len(lines) == METRIC_BATCH_SIZE:
                    await socket.send("\n".join(lines))
                    lines = []


asyncio.run(main())
