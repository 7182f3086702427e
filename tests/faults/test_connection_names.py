"""Names of hosts: asked for anew at each attempt, on both sides."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import trio
from msgspec import structs
from psycopg.conninfo import make_conninfo

from tests.chaos.bridges import running_bridge, settings_for
from tests.chaos.sink import Sink
from tests.faults.delivering import ROUTE, Delivering, prepare
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.live.server import LiveServer

# Every address of 127/8 is the loopback, and nobody listens at this one.
DEAD = "127.0.0.77"


class Resolver(trio.abc.HostnameResolver):
    """Knows what is in `table` at that moment."""

    def __init__(self) -> None:
        self.table: dict[str, str] = {}

    async def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> Any:
        await trio.lowlevel.checkpoint()
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.table:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        address = (self.table[name], int(port))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)]

    async def getnameinfo(self, *_: Any) -> Any:
        raise NotImplementedError


@pytest.mark.fault(28)
async def test_names_that_fail_and_move(database: Database) -> None:
    """A name that is not known yet, one that points to a dead address and one that moves are all tried anew."""
    resolver = Resolver()
    trio.socket.set_custom_hostname_resolver(resolver)
    prepare(database.dsn)
    sink = Sink()
    async with LiveServer(on_message=sink) as live:
        settings = settings_for(make_conninfo(database.dsn, host="db.example"), live, ROUTE)
        grafana = structs.replace(
            settings.grafana, url=f"http://grafana.example:{live.port}", allow_plaintext=True
        )
        async with running_bridge(structs.replace(settings, grafana=grafana)) as service:
            world = Delivering(database.dsn, live, sink, service)

            async def wait_failure(words: str) -> None:
                await wait_until(lambda: words in world.route.failure)

            await wait_failure("cannot resolve the name of the Postgres host db.example")
            resolver.table["db.example"] = DEAD
            await wait_failure("refused")
            resolver.table["db.example"] = "127.0.0.1"
            await wait_failure("grafana.example")
            resolver.table["grafana.example"] = DEAD
            await wait_failure("refused")
            resolver.table["grafana.example"] = "127.0.0.1"
            await world.wait_arrived(await world.insert(5))
            await wait_until(lambda: world.route.failure == "")
            await world.assert_intact()
