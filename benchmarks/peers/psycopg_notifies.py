"""psycopg 3 iterates over notifications, a WebSocket is kept open, each row goes out as a message of its own."""

import asyncio
import json
import os
from datetime import datetime

import psycopg
import websockets

HEADERS = {"Authorization": f"Bearer {os.environ['TOKEN']}"}


def to_line_protocol(payload: str) -> str:
    """A row as JSON → a line."""
    row = json.loads(payload)
    time_ns = int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1_000_000_000)
    return f"live_metrics value={row['value']} {time_ns}"


async def main() -> None:
    """Runs until killed."""
    connection = await psycopg.AsyncConnection.connect(os.environ["DSN"], autocommit=True)
    async with websockets.connect(os.environ["PUSH_URL"], additional_headers=HEADERS) as socket:
        await connection.execute("LISTEN influx_feed")
        async for notification in connection.notifies():
            await socket.send(to_line_protocol(notification.payload))


asyncio.run(main())
