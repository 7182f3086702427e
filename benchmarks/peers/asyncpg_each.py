"""asyncpg listens, a WebSocket is kept open, each row goes out as a message of its own."""

import asyncio
import json
import os
from datetime import datetime

import asyncpg  # type: ignore[import-untyped]
import websockets

HEADERS = {"Authorization": f"Bearer {os.environ['TOKEN']}"}


def to_line_protocol(payload: str) -> str:
    """A row as JSON → a line."""
    row = json.loads(payload)
    time_ns = int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1_000_000_000)
    return f"live_metrics value={row['value']} {time_ns}"


async def main() -> None:
    """Runs until killed."""
    queue: asyncio.Queue[str] = asyncio.Queue()

    def on_notification(_connection: object, _pid: int, _channel: str, payload: str) -> None:
        queue.put_nowait(payload)

    connection = await asyncpg.connect(os.environ["DSN"])
    async with websockets.connect(os.environ["PUSH_URL"], additional_headers=HEADERS) as socket:
        await connection.add_listener("influx_feed", on_notification)
        while True:
            await socket.send(to_line_protocol(await queue.get()))


asyncio.run(main())
