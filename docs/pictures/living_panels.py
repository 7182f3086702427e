"""``python docs/pictures/living_panels.py``: the picture of two panels right after a reload, with history and without.

Everything in it is real: one table, two routes of the same service that differ in ``history_rows`` only, the Live
stand-in and the demo's page, in a headless Chromium, which has to be there; the project does not need it otherwise.
The page is reloaded when the window is full, and looked at a second later.
"""
# A script; the writers' threads raise no event for it.
# ruff: noqa: INP001, ASYNC110

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import trio
from browser import open_browser

from trio_bridge.config.settings import GrafanaSettings, RouteSettings, ServiceSettings, Settings
from trio_bridge.demo.database import open_database
from trio_bridge.demo.pages import load_pages
from trio_bridge.demo.schedule import Schedule
from trio_bridge.demo.writer import Writer
from trio_bridge.live.auth import Role
from trio_bridge.live.server import LiveServer
from trio_bridge.logs import to_stderr
from trio_bridge.postgres.install import install
from trio_bridge.postgres.plan import DEMO_TABLE
from trio_bridge.secret import Secret
from trio_bridge.service import run_service

PICTURE = Path(__file__).with_suffix(".png")
HISTORY_ROWS = 1_000
ROWS_PER_S = 100
LOOKED_AT_MS = 1_000
LIMIT_S = 90.0


def route(history_rows: int) -> RouteSettings:
    """A route that is named, like its panel, by the one setting in question."""
    name = f"history_rows={history_rows}"
    return RouteSettings(
        name=name,
        table=str(DEMO_TABLE),
        measurement=name,
        fields=("value",),
        series="sensor",
        history_rows=history_rows,
        keyframe_interval_s=0.5,
    )


async def main() -> None:
    """Makes the picture anew."""
    routes = (route(HISTORY_ROWS), route(0))
    live = LiveServer(pages=load_pages())
    live.accounts.anonymous = Role.VIEWER
    with trio.fail_after(LIMIT_S):
        async with (
            open_browser(1280, 900) as tab,
            live,
            open_database(None) as database,
            trio.open_nursery() as nursery,
        ):
            names = [route.name for route in routes]
            await trio.to_thread.run_sync(partial(install, database.owner, DEMO_TABLE, routes=names))
            grafana = GrafanaSettings(url=live.url, token=Secret(live.token))
            await nursery.start(
                run_service, Settings(postgres=database.bridge, grafana=grafana, route=routes)
            )
            writer = Writer(database.connect, Schedule(time.time_ns() // 1_000, ROWS_PER_S))
            nursery.start_soon(writer.run)
            await tab.call("Page.navigate", url=f"{live.url}/")
            while writer.statistics().committed < 1.5 * HISTORY_ROWS:
                await trio.sleep(0.1)
            await tab.evaluate("window.isOld = true")
            await tab.call("Page.reload")
            await tab.wait(
                f"!window.isOld && performance.now() > {LOOKED_AT_MS} && "
                f"document.querySelectorAll('.chart').length === {len(routes)}"
            )
            await tab.screenshot(PICTURE, "#charts")
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    with to_stderr(ServiceSettings(log_format="console", log_level="warning")):
        trio.run(main)
