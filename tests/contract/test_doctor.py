"""The whole chain against the target: a bridge that runs, and a doctor that finds nothing."""

from __future__ import annotations

from functools import partial

import trio

from tests.contract.target import Target, fresh_stream, values
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import (
    GrafanaSettings,
    HttpSettings,
    PostgresSettings,
    RouteSettings,
    Settings,
)
from trio_bridge.doctor.examine import examine
from trio_bridge.doctor.hops import Finding
from trio_bridge.postgres.install import install
from trio_bridge.secret import Secret
from trio_bridge.service import run_service

TABLE = "public.live_metrics"


async def test_a_row_arrives_and_the_doctor_is_content(target: Target, database: Database) -> None:
    """A row that is inserted reaches a subscriber through the bridge, and every hop of the doctor is ok."""
    account = await target.account("Admin")
    install(database.dsn, parse_table(TABLE), routes=[TABLE])
    stream = fresh_stream()
    settings = Settings(
        postgres=PostgresSettings(dsn=database.dsn),
        grafana=GrafanaSettings(url=target.url, token=Secret(account.token)),
        route=(RouteSettings(name=TABLE, table=TABLE, stream=stream, fields=("value",), history_rows=0),),
        http=HttpSettings(listen="off"),
    )
    heard: list[Finding] = []
    async with target.subscriber() as browser, trio.open_nursery() as nursery:
        await browser.subscribe(f"{target.prefix}stream/{stream}/live_metrics")
        service = await nursery.start(partial(run_service, settings))
        await wait_until(lambda: service.routes[0].status.phase == "running")
        database.execute("INSERT INTO public.live_metrics (value) VALUES (20.5)")
        _, frame = await browser.publication()
        assert values(frame)[2] == [20.5]
        findings = await examine(settings, settings.route, report=heard.append)
        assert heard == findings
        assert [finding for finding in findings if finding.status != "ok"] == []
        service.stop.set()
