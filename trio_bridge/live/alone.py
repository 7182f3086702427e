"""The Live stand-in as a process of its own.

Prints one JSON line with `url` and `token` to stdout once it listens, and nothing else; runs until it is cancelled or
gets SIGTERM or SIGINT, then ends normally.
"""

from __future__ import annotations

import json
import signal
import sys

import trio

from trio_bridge.live.server import LiveServer


async def serve_alone(port: int) -> None:
    """Runs a `LiveServer` on `port` (0: a free one) until cancelled, SIGTERM or SIGINT.

    Raises:
        OSError: the port is taken.
    """
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with LiveServer(port) as live:
            sys.stdout.write(json.dumps({"url": live.url, "token": live.token}) + "\n")
            sys.stdout.flush()
            async for _ in signals:
                return
