"""A line to Grafana that carries a kilobyte a second, for minutes: rows come late, the connection stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import trio

from tests.chaos.bridges import BridgeProcess
from tests.chaos.run import FIELDS, wait_all_delivered
from tests.chaos.sink import Sink
from tests.chaos.writers import TABLE
from tests.faults.delivering import prepare
from tests.faults.proxy import fault_proxy
from tests.pg import Database
from trio_bridge.live.server import LiveServer

Figures = Callable[..., None]


@pytest.mark.fault(66, 67)
@pytest.mark.deadline(800)
@pytest.mark.timeout(800)
async def test_a_narrow_line_is_slow_and_nothing_else(
    database: Database, figures: Figures, full_length: bool, tmp_path: Path
) -> None:
    """At 1 kB/s for ten minutes, with more rows than fit: no answer is late, memory is flat; then all of it arrives."""
    # The short edition keeps the proportion: a full message would need longer than an answer may take.
    bytes_per_s, ack_timeout_s, lasts_s = (1_000, 10, 600) if full_length else (8_000, 5, 8)
    prepare(database.dsn)
    sink = Sink()
    async with (
        LiveServer(on_message=sink) as live,
        fault_proxy("127.0.0.1", live.port) as proxy,
    ):
        for pipe in (proxy.up, proxy.down):
            pipe.bytes_per_s, pipe.slice_bytes = bytes_per_s, max(16, bytes_per_s // 50)
        host, port = proxy.listens_on
        bridge = BridgeProcess(
            database.dsn, live, tmp_path, table=TABLE, fields=",".join(FIELDS),
            grafana_url=f"http://{host}:{port}", grafana_ack_timeout_s=str(ack_timeout_s),
        )  # fmt: skip
        bridge.start()
        try:
            await live.wait_connections(1)
            began = time.monotonic()
            arrived: list[int] = []
            rss_kib: list[int] = []
            with database.connect() as connection:
                while time.monotonic() - began < lasts_s:
                    # About three times as much as the line carries, at some 60 bytes a row.
                    await trio.to_thread.run_sync(insert, connection, bytes_per_s // 20)
                    await trio.sleep(1.0)
                    arrived.append(sink.rows)
                    rss_kib.append(bridge.rss_kib())
            # Rows come all the time, not in one piece at the end.
            stages = [arrived[len(arrived) * part // 4] for part in (1, 2, 3)]
            assert 0 < stages[0] < stages[1] < stages[2] < arrived[-1]
            # It has read a page when it sends; after a quarter of the time it knows all that it will ever know.
            assert max(rss_kib) - rss_kib[len(rss_kib) // 4] < 16 * 1024
            proxy.heal()
            healed = time.monotonic()
            await wait_all_delivered(database.dsn, TABLE, sink, limit_s=60)
            caught_up_s = time.monotonic() - healed
            with database.connect(autocommit=False) as connection:
                verdict = sink.compare(connection, TABLE)
            assert (verdict.lost, verdict.phantoms, verdict.altered, verdict.duplicates) == (0, 0, 0, 0), str(
                verdict
            )
            assert live.counters.connections == 1
            assert await bridge.terminate() == 0
        finally:
            if bridge.alive:
                bridge.kill()
    assert not [record for record in bridge.log() if record["event"] == "route_failed"]
    if full_length:
        figures(
            arrived_rows=arrived[-1],
            behind_rows=verdict.committed - arrived[-1],
            recovery_s=caught_up_s,
            grown_mib=(max(rss_kib) - rss_kib[len(rss_kib) // 4]) / 1024,
        )


def insert(connection: psycopg.Connection, rows: int) -> None:
    """One statement, so that they are one transaction."""
    connection.execute(
        f"INSERT INTO {TABLE} (part, value, note) SELECT g %% 2, g / 7.0, 'n' FROM generate_series(1, %s) g",
        (rows,),
    )
