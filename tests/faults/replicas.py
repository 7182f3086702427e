"""Several replicas of one bridge, and through which of their connections new rows arrive.

`Arrivals` stands before a `Sink` and notes for each connection to the Live server when it first and last brought a row
that nobody had brought before: a hand-over has happened when another connection does. `replicas` *owns* the processes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.chaos.bridges import BridgeProcess
from tests.chaos.run import FIELDS
from tests.chaos.sink import Sink
from tests.chaos.writers import TABLE
from tests.waiting import wait_until
from trio_bridge.live.intake import Delivery
from trio_bridge.live.server import LiveServer


class Arrivals:
    """See the module; the hook of a Live server.

    Attributes:
        sink: all that arrived.
        first: by connection: when the first new row came through it, monotonic seconds.
        last: the same of the last one.
    """

    def __init__(self) -> None:
        self.sink = Sink()
        self.first: dict[int, float] = {}
        self.last: dict[int, float] = {}

    def __call__(self, delivery: Delivery) -> None:
        before = self.sink.rows
        self.sink(delivery)
        if self.sink.rows > before:
            self.first.setdefault(delivery.connection, delivery.arrived_s)
            self.last[delivery.connection] = delivery.arrived_s

    @property
    def brought_by(self) -> set[int]:
        """Connections that have brought new rows."""
        return set(self.first)

    async def wait_another(self, before: set[int]) -> float:
        """Until a connection that is not in `before` brings a new row; when that was, monotonic seconds."""
        await wait_until(lambda: bool(self.brought_by - before))
        return min(self.first[connection] for connection in self.brought_by - before)


def events(replica: BridgeProcess, *names: str) -> list[str]:
    """Which of these events are in its log, in order."""
    return [str(record["event"]) for record in replica.log() if record["event"] in names]


def leads(replica: BridgeProcess) -> bool:
    """Whether its log's last word on that is that it leads."""
    return events(replica, "running", "standby")[-1:] == ["running"]


@asynccontextmanager
async def replicas(
    dsn: str, live: LiveServer, directory: Path, count: int, **route: str
) -> AsyncIterator[list[BridgeProcess]]:
    """`count` processes with one configuration, the first of which leads; what is left of them ends with the block."""
    made: list[BridgeProcess] = []
    try:
        for number in range(count):
            (directory / str(number)).mkdir()
            settings = route or {"table": TABLE, "fields": ",".join(FIELDS)}
            made.append(BridgeProcess(dsn, live, directory / str(number), **settings))
            made[-1].start()
            if number == 0:
                await live.wait_connections(1)
            else:
                await wait_until(lambda: bool(events(made[-1], "standby")))
        yield made
    finally:
        for replica in made:
            if replica.alive:
                replica.kill()
