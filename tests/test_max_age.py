"""`max_age` end to end: after a long outage a panel is current at once, and every skipped row is in the books."""

from __future__ import annotations

from msgspec import structs

from tests.chaos.bridges import running_bridge, settings_for
from tests.pg import Database
from tests.test_living_panels import ROUTE, TABLE, insert, wait_shows, watching
from tests.waiting import wait_until
from trio_bridge.config.names import parse_table
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install


async def test_what_was_written_long_ago_is_skipped_and_counted(database: Database) -> None:
    """Of an outage's rows the recent ones are shown, the old ones rejected; the next run does not see them again."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    insert(database, 300, seconds_ago=3600)
    insert(database, 40, seconds_ago=1)
    route = structs.replace(ROUTE, max_age="15m")
    async with LiveServer() as live:
        async with running_bridge(settings_for(database.dsn, live, route)) as service:
            ledger = service.routes[0].ledger
            await live.wait_connections(1)
            async with watching(live) as viewer:
                # Neither the panel nor its window has the old ones, although it has room for 50.
                await wait_shows(viewer, list(range(301, 341)))
            await wait_until(lambda: ledger.statistics().pending == 0)
            assert ledger.statistics().acknowledged == 40
            assert ledger.statistics().rejected == {"stale": 300}
        async with running_bridge(settings_for(database.dsn, live, route)) as service:
            await live.wait_connections(2)
            async with watching(live) as viewer:
                # The history is the table's last rows, whatever their age.
                await wait_shows(viewer, list(range(291, 341)))
            assert service.routes[0].ledger.statistics().seen == 0
