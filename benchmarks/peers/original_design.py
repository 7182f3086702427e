"""The design this project began with: psycopg2 polls for payloads, each goes out over a WebSocket of its own."""

import asyncio
import json
import os
import select
from datetime import datetime

import psycopg2  # type: ignore[import-untyped]
import websockets
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT  # type: ignore[import-untyped]

URL = os.environ["PUSH_URL"]
HEADERS = {"Authorization": f"Bearer {os.environ['TOKEN']}"}


def to_line_protocol(payload: str) -> str:
    """A row as JSON → a line."""
    row = json.loads(payload)
    time_ns = int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1_000_000_000)
    return f"live_metrics value={row['value']} {time_ns}"


async def push(line: str) -> None:
    """Connect, send, close."""
    async with websockets.connect(URL, additional_headers=HEADERS) as socket:
        await socket.send(line)


def main() -> None:
    """Runs until killed."""
    connection = psycopg2.connect(os.environ["DSN"])
    connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
    connection.cursor().execute("LISTEN influx_feed")
    while True:
        if select.select([connection], [], [], 5) == ([], [], []):
            continue
        connection.poll()
        while connection.notifies:
            notification = connection.notifies.pop(0)
            asyncio.run(push(to_line_protocol(notification.payload)))


main()
