"""The notification queue is full because a stranger listens and does not read: our writers must not pay for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
import trio
from structlog.testing import capture_logs

from tests.chaos.run import queue_usage
from tests.faults.readings import TABLE, readings, wait_notify
from tests.waiting import wait_until
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.listener import probe
from trio_bridge.listener.modes import Mode


@pytest.fixture
def small_queue() -> Iterator[EmbeddedPostgres]:
    """A server with the smallest notification queue there is: 64 pages of 8 KiB."""
    with EmbeddedPostgres() as server:
        with server.connect() as connection:
            if connection.info.server_version < 170_000:
                pytest.skip(
                    "8 GB take minutes to fill: the queue's size is a setting only from PostgreSQL 17 on"
                )
            connection.execute("ALTER SYSTEM SET max_notify_queue_pages = 64")
        server.restart()
        yield server


@pytest.mark.fault(41)
async def test_a_queue_that_a_stranger_fills_harms_no_writer_of_ours(
    small_queue: EmbeddedPostgres, figures: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bridge says how full it is and whose doing, frees its gate and polls; when it is empty, bells ring again."""
    monkeypatch.setattr(probe, "PROBE_INTERVAL_S", 0.5)
    dsn = small_queue.dsn()
    async with readings(dsn) as world, world.bridge() as route:
        await wait_notify(route)
        with small_queue.connect() as stranger, capture_logs() as logs:
            stranger.execute("LISTEN nothing")
            stranger.execute("BEGIN")
            began = trio.current_time()
            fill(small_queue)
            assert queue_usage(dsn) > 0.9
            await wait_until(lambda: gate_holders(small_queue) == 0)
            figures(detection_s=trio.current_time() - began)
            for _ in range(20):
                # Each a commit that would fail if it rang.
                world.insert()
            await world.wait_all()
            assert route.status.mode is Mode.POLL
            assert route.status.queue_usage is not None
            assert route.status.queue_usage > 0.9
            (said,) = [entry for entry in logs if entry["event"] == "queue_fills"]
            assert said["pids"].split(", ")[0] == str(stranger.info.backend_pid)
            assert said["usage"] > 0.1
            # Whoever rings fails now: the writers above were spared because nobody made them.
            with pytest.raises(psycopg.OperationalError, match="too many notifications"):
                fill(small_queue)
            stranger.execute("ROLLBACK")
        await wait_notify(route)
        world.insert()
        await world.wait_all()
        assert route.ledger.statistics().restarts == 0


def fill(server: EmbeddedPostgres) -> None:
    """Notifications that nobody wants, until there is hardly any room left; fails when there is none."""
    with server.connect() as writer:
        for number in range(62):
            writer.execute("SELECT pg_notify('nothing', %s)", (f"{number:07900}",))


def gate_holders(server: EmbeddedPostgres) -> int:
    with server.connect() as connection:
        row = connection.execute(
            f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = '{TABLE}'::regclass "
            "AND mode = 'ExclusiveLock'"
        ).fetchone()
    assert row is not None
    return int(row[0])
