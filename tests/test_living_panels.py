"""Panels that live: what a viewer's buffer holds after a reload, a restart, a crash, a late row or a new series.

Real Postgres, the real service, the strict Live server; the viewer subscribes as Grafana's page does and applies the
page's rule (schema differs → buffer replaced, else appended). The page's own code judges in `tests.browser`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec import structs
from structlog.testing import capture_logs

from tests.chaos.bridges import BridgeProcess, running_bridge, settings_for
from tests.live.clients import subscriber
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import RouteSettings
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install

TABLE = "public.live_metrics"
ROUTE = RouteSettings(
    name=TABLE, table=TABLE, fields=("id", "value"), history_rows=50, keyframe_interval_s=0.3
)
WITHIN_S = 3.0


class Viewer:
    """A panel's buffer: rows of (milliseconds, field → value)."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.replaced = 0
        self.emptied_to: list[int] = []
        self._schema: list[tuple[str, str]] = []

    def take(self, frame: dict[str, Any]) -> None:
        """One publication."""
        if "schema" in frame:
            schema = [(field["name"], field["type"]) for field in frame["schema"]["fields"]]
            if schema != self._schema:
                self.replaced += 1
                self.rows = []
                self._schema = schema
        columns = dict(zip([name for name, _ in self._schema], frame["data"]["values"], strict=True))
        times = columns.pop("time")
        columns.pop("labels")
        added = [
            (
                time,
                {
                    name: column[index]
                    for name, column in columns.items()
                    if not name.startswith("_") and column[index] is not None
                },
            )
            for index, time in enumerate(times)
        ]
        if not self.rows:
            self.emptied_to.append(len(added))
        self.rows += added

    def column(self, name: str) -> list[Any]:
        """The values of one field by time, gaps left out."""
        return [fields[name] for _, fields in sorted(self.rows, key=lambda row: row[0]) if name in fields]


@asynccontextmanager
async def watching(live: LiveServer, channel: str = "stream/pg/live_metrics") -> AsyncIterator[Viewer]:
    """A viewer that has just opened the page."""
    viewer = Viewer()
    async with subscriber(live) as socket, trio.open_nursery() as nursery:
        reply = await socket.subscribe(f"1/{channel}")
        if reply.get("subscribe", {}).get("data"):
            viewer.take(reply["subscribe"]["data"])

        async def watch() -> None:
            while True:
                _, frame = await socket.publication()
                viewer.take(frame)

        nursery.start_soon(watch)
        yield viewer
        nursery.cancel_scope.cancel()


def last_ids(database: Database, rows: int = 50) -> list[int]:
    """Ids of the last rows of the table by time, oldest first."""
    found = database.execute(f'SELECT id FROM {TABLE} ORDER BY "timestamp" DESC, id DESC LIMIT {rows}')
    return [row[0] for row in reversed(found)]


def insert(database: Database, rows: int, *, seconds_ago: float = 0.0) -> None:
    """Rows a millisecond apart, the last one now or some time ago."""
    database.execute(
        f"""
        INSERT INTO {TABLE} ("timestamp", value)
        SELECT clock_timestamp() - make_interval(secs => {seconds_ago} + 0.001 * (%s - g)), g
        FROM generate_series(1, %s) g
        """,
        rows,
        rows,
    )


async def wait_shows(viewer: Viewer, ids: list[int]) -> None:
    """Until the buffer is exactly the rows `ids`."""
    with trio.move_on_after(WITHIN_S):
        await wait_until(lambda: viewer.column("id") == ids)
    assert viewer.column("id") == ids


async def test_a_viewer_sees_the_last_rows_at_once(database: Database) -> None:
    """Whoever opens the page while rows flow has the whole window with the next keyframe, and keeps it."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    async with LiveServer() as live, running_bridge(settings_for(database.dsn, live, ROUTE)):
        await live.wait_connections(1)
        for _ in range(8):
            insert(database, 10)
            await trio.sleep(0.05)
        async with watching(live) as viewer:
            await wait_shows(viewer, last_ids(database))
        insert(database, 1)
        async with watching(live) as viewer:
            await wait_shows(viewer, last_ids(database))


async def test_the_first_viewer_after_a_deploy_sees_history(database: Database) -> None:
    """A bridge that starts on a quiet table shows what is in it."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    insert(database, 80)
    async with LiveServer() as live:
        async with running_bridge(settings_for(database.dsn, live, ROUTE)):
            await live.wait_messages(1)
            async with watching(live) as viewer:
                await wait_shows(viewer, last_ids(database))
        # And so does the next one, although every row had been delivered.
        async with running_bridge(settings_for(database.dsn, live, ROUTE)):
            await live.wait_connections(2)
            async with watching(live) as viewer:
                await wait_shows(viewer, last_ids(database))


async def test_a_late_row_takes_its_place(database: Database) -> None:
    """A row that is older than others finds its place with the next keyframe; one before the window is not shown."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    async with LiveServer() as live, running_bridge(settings_for(database.dsn, live, ROUTE)) as service:
        await live.wait_connections(1)
        async with watching(live) as viewer:
            insert(database, 40)
            await wait_shows(viewer, last_ids(database))
            insert(database, 1, seconds_ago=0.02)
            insert(database, 1, seconds_ago=3600)
            insert(database, 20)
            await wait_shows(viewer, last_ids(database))
        statistics = service.routes[0].ledger.statistics()
        assert statistics.acknowledged == 62, "a row before the window is still sent once"


@pytest.mark.fault(76)
@pytest.mark.deadline(60)
async def test_after_a_kill_and_a_restart_of_grafana_the_window_is_the_tables(
    database: Database, tmp_path: Path
) -> None:
    """Within three seconds of kill -9 of the bridge, or a restart of Grafana, a viewer has the last rows again."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    async with LiveServer() as live:
        bridge = BridgeProcess(
            database.dsn,
            live,
            tmp_path,
            table=TABLE,
            fields="id,value",
            history_rows="50",
            keyframe_interval_s="2",
        )
        bridge.start()
        try:
            await live.wait_connections(1)
            insert(database, 60)
            async with watching(live) as viewer:
                await wait_shows(viewer, last_ids(database))
                for number in range(3):
                    bridge.kill()
                    insert(database, 7)
                    bridge.start()
                    await live.wait_connections(number + 2)
                    await wait_shows(viewer, last_ids(database))
            await live.restart(0.2)
            await live.wait_connections(5)
            insert(database, 3)
            async with watching(live) as viewer:
                await wait_shows(viewer, last_ids(database))
            assert await bridge.terminate() == 0
        finally:
            if bridge.alive:
                bridge.kill()


async def test_a_new_series_keeps_everyones_history(database: Database) -> None:
    """When a sensor appears the panel shows it beside the history of all others, without a moment of emptiness."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    route = structs.replace(ROUTE, fields=("value",), series="sensor")
    async with LiveServer() as live, running_bridge(settings_for(database.dsn, live, route)):
        await live.wait_connections(1)

        def say(sensor: str, value: int) -> None:
            database.execute(f"INSERT INTO {TABLE} (value, sensor) VALUES (%s, %s)", value, sensor)

        for value in range(10):
            say("a", value)
            say("b", 100 + value)
        async with watching(live) as viewer:
            await wait_until(lambda: viewer.column("a") == list(range(10)))
            await wait_until(lambda: viewer.column("b") == list(range(100, 110)))
            viewer.emptied_to.clear()
            say("c", 200)
            await wait_until(lambda: viewer.column("c") == [200])
            assert viewer.column("a") == list(range(10))
            assert viewer.column("b") == list(range(100, 110))
            assert all(rows >= 20 for rows in viewer.emptied_to), viewer.emptied_to


async def test_without_history_each_row_is_on_the_socket_once(database: Database) -> None:
    """`history_rows = 0`: no flag, no keyframe, one line a row."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    insert(database, 5)
    async with LiveServer(keep_log=True) as live:
        route = structs.replace(ROUTE, history_rows=0)
        async with running_bridge(settings_for(database.dsn, live, route)) as service:
            await live.wait_connections(1)
            insert(database, 20)
            await wait_until(lambda: service.routes[0].ledger.statistics().acknowledged == 25)
            assert service.routes[0].ledger.statistics().keyframes == 0
        points = [point for delivery in live.deliveries for point in delivery.points]
        assert sorted(int(point.fields["id"]) for point in points) == list(range(1, 26))
        assert {tuple(sorted(point.fields)) for point in points} == {("id", "value")}


async def test_tags_switch_history_off_and_say_why(database: Database) -> None:
    """With labels a keyframe would break the panel: the route goes without, and the log tells the reason."""
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    route = structs.replace(ROUTE, tags=("sensor",))
    async with LiveServer(keep_log=True) as live:
        with capture_logs() as logs:
            async with running_bridge(settings_for(database.dsn, live, route)) as service:
                await live.wait_connections(1)
                database.execute(f"INSERT INTO {TABLE} (value, sensor) VALUES (1, 'a')")
                await wait_until(lambda: service.routes[0].ledger.statistics().acknowledged == 1)
        assert [entry["event"] for entry in logs if entry["event"] == "history_off"]
        (delivery,) = live.deliveries
        assert b"_" not in delivery.raw.split(b" ")[1]
