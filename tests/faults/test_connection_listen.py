"""The session loses what it had been told, and lives on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from tests.faults.delivering import delivering
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.listener import probe
from trio_bridge.listener.modes import Mode
from trio_bridge.postgres.session import Session

Figures = Callable[..., None]


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What stands in this list is done by the next session that runs a delta, before it."""
    orders: list[str] = []
    run, query = Session.run, Session.query

    # The only statement of an idle route is the prepared delta.
    def run_after_order(self, name, params=(), *, timeout_s):
        if orders:
            query(self, orders.pop(), timeout_s=timeout_s)
        return run(self, name, params, timeout_s=timeout_s)

    monkeypatch.setattr(Session, "run", run_after_order)
    yield orders
    assert not orders


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[probe.Probe]:
    """The probe of each look so far."""
    looks: list[probe.Probe] = []
    look = probe.Probe.look

    def noted(self, now):
        looks.append(self)
        return look(self, now)

    monkeypatch.setattr(probe.Probe, "look", noted)
    return looks


@pytest.mark.fault(25)
async def test_rows_come_without_a_listen_and_it_is_said_again(
    database: Database, orders: list[str], looks: list[probe.Probe], figures: Figures
) -> None:
    """Without its LISTEN the bridge finds rows by itself, half a second late at most, and soon LISTENs again."""
    async with delivering(database.dsn) as world:
        await wait_until(lambda: world.route.status.mode is Mode.NOTIFY)
        with capture_logs() as logs:
            orders.append("UNLISTEN *")
            await wait_until(lambda: not orders)
            began = time.monotonic()
            await world.wait_arrived(await world.insert())
            late_s = time.monotonic() - began
            assert world.route.status.relistened == 0
            # It looks every ten seconds; the next look is now.
            looks[-1].due_at = 0
            await wait_until(lambda: world.route.status.relistened == 1)
        assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["listening_again"]
        await world.wait_arrived(await world.insert())
        await world.assert_intact(duplicates=0)
        assert world.failures == 0
    # Half a second, and as much again for two cores that others use too.
    assert late_s < 1.0
    figures(late_s=late_s)


@pytest.mark.fault(25)
async def test_a_session_that_is_reset_starts_again(database: Database, orders: list[str]) -> None:
    """DISCARD ALL takes statements and locks as well: the run ends at its next delta, and no row is lost."""
    async with delivering(database.dsn) as world:
        await world.wait_arrived(await world.insert())
        await wait_until(lambda: world.route.status.mode is Mode.NOTIFY)
        orders.append("DISCARD ALL")
        await wait_until(lambda: not orders)
        await world.wait_arrived(await world.insert(10))
        await wait_until(lambda: world.route.failure == "")
        await world.assert_intact()
        assert world.failures == 1
        assert world.route.last_failure is not None
        assert "prepared statement" in world.route.last_failure.sentence
