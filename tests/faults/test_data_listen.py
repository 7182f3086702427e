"""Old minor versions of PostgreSQL can fail at LISTEN when transaction status was truncated behind a slow listener."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from tests.faults.readings import readings
from tests.pg import Database
from trio_bridge.postgres.session import Session, StatementRefused


@pytest.mark.fault(47)
async def test_a_listen_that_fails_is_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of such a server at LISTEN is told and tried again until it works, and no row is missed."""
    # Servers that have this fault are not to be had here: its message is put into the mouth of a healthy one.
    left = 3
    query = Session.query

    def fail_at_listen(
        self: Session, statement: str, params: Sequence[str | None] = (), *, timeout_s: float
    ) -> list[tuple[str | None, ...]]:
        nonlocal left
        if statement.startswith("LISTEN") and left:
            left -= 1
            raise StatementRefused("postgres: could not access status of transaction 123 (58P01)", "58P01")
        return query(self, statement, params, timeout_s=timeout_s)

    monkeypatch.setattr(Session, "query", fail_at_listen)
    async with readings(database.dsn) as world:
        world.insert(3)
        with capture_logs() as logs:
            async with world.bridge() as route:
                await world.wait_all()
                statistics = route.ledger.statistics()
        assert left == 0
        assert (statistics.failures, statistics.seen) == ({"postgres": 3}, 3)
        assert [entry["reason"] for entry in logs if entry["event"] == "route_failed"] == [
            "postgres: could not access status of transaction 123 (58P01)"
        ]
