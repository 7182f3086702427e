"""Waiting for a fact that only polling can see: another process, another thread, a table."""

from __future__ import annotations

from collections.abc import Callable

import trio


async def wait_until(fact: Callable[[], bool]) -> None:
    """Until `fact` holds; the test's deadline bounds it."""
    while not fact():
        await trio.sleep(0.005)
