"""Two-phase commit: a NOTIFY would make the writer's PREPARE fail, so there is none."""

from __future__ import annotations

import psycopg
import pytest
import trio
from structlog.testing import capture_logs

from tests.faults.readings import TABLE, readings
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.listener.modes import Mode


@pytest.mark.fault(38)
@pytest.mark.deadline(60)
async def test_prepared_transactions_work_and_arrive_when_committed() -> None:
    """PREPARE never fails, however quiet it is; rows arrive after COMMIT PREPARED, also across a restart."""
    with EmbeddedPostgres(max_prepared_transactions=5) as server, capture_logs() as logs:
        async with readings(server.dsn()) as world:
            async with world.bridge() as route:
                # Twice as long as a quiet table keeps its gate free where there is no two-phase commit.
                await trio.sleep(2.5)
                prepare(server, "kept")
                prepare(server, "late")
                prepare(server, "never")
                plain = world.insert()
                await world.wait_arrived(*plain)
                world.execute("COMMIT PREPARED 'kept'")
                world.execute("ROLLBACK PREPARED 'never'")
                await world.wait_all()
                assert world.sink.rows == 2
                assert route.status.mode is Mode.POLL
                assert route.status.mode_changes == 0
            async with world.bridge():
                world.execute("COMMIT PREPARED 'late'")
                await world.wait_all()
        assert world.sink.rows == 3
    assert {entry["reason"] for entry in logs if entry["event"] == "poll_only"} == {
        "max_prepared_transactions > 0: NOTIFY would break PREPARE"
    }


def prepare(server: EmbeddedPostgres, name: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as writer:
        writer.execute("BEGIN")
        writer.execute(f"INSERT INTO {TABLE} (value, note) VALUES (1, %s)", (name,))
        writer.execute(f"PREPARE TRANSACTION '{name}'")
