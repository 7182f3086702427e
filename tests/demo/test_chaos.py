"""Chaos: announced, repeatable by its seed, and over when it says so."""

from __future__ import annotations

import httpx
import pytest
import trio

from trio_bridge.demo import chaos
from trio_bridge.demo.chaos import Chaos
from trio_bridge.demo.database import Database, open_database
from trio_bridge.live.server import LiveServer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same acts, one right after the other."""
    monkeypatch.setattr(chaos, "PAUSE_S", (0.0, 0.01))
    monkeypatch.setattr(chaos, "AWAY_S", (0.0, 0.1))


async def acts(count: int, seed: int, database: Database, live: LiveServer | None) -> list[str]:
    """Runs chaos until it has announced so many acts; the last one is finished as well."""
    announced: list[str] = []
    with trio.CancelScope() as scope:

        def announce(act: str) -> None:
            announced.append(act)
            if len(announced) == count:
                scope.cancel()

        await Chaos(seed, database, live, announce).run()
    return announced


@pytest.mark.deadline(60)
async def test_everything_breaks_and_is_mended() -> None:
    """All kinds of faults come up, the same for the same seed, and afterwards both servers are in order."""
    async with open_database(None) as database, LiveServer() as live, httpx.AsyncClient() as client:
        assert database.server is not None
        # Seven kinds in eight acts: a seed that has them all.
        first = await acts(8, 6, database, live)
        kinds = {act.split("(")[0].split("for")[0].split(",")[0].strip() for act in first}
        assert kinds == {
            "Postgres is restarted",
            "Postgres crashes",
            "Postgres is killed",
            "the bridge's session is terminated",
            "Live is restarted",
            "the push connection is cut",
            "Live hangs",
        }
        assert database.server.running
        with database.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert (await client.get(f"{live.url}/api/health")).status_code == 200
        assert live.faults.stop_reading is False
        assert await acts(3, 6, database, live) == first[:3]


async def test_foreign_servers_are_left_alone() -> None:
    """Of servers that are not ours only our own session is ended."""
    cut = []

    class Foreign(Database):
        def cut_bridge(self) -> int:
            cut.append(1)
            return 1

    database = Foreign(owner="", bridge=None, server=None)  # type: ignore[arg-type]
    assert set(await acts(5, 1, database, None)) == {"the bridge's session is terminated"}
    assert len(cut) == 5


async def test_live_is_down_while_it_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever watches learns that the Live server is away, and that it is back."""
    monkeypatch.setattr(chaos, "AWAY_S", (0.3, 0.3))
    async with LiveServer() as live:
        seen = []
        announced = trio.Event()
        unrest = Chaos(0, Database(owner="", bridge=None, server=None), live, lambda _act: announced.set())  # type: ignore[arg-type]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(unrest._restart_live, live)
            await announced.wait()
            seen.append(unrest.live_up)
        seen.append(unrest.live_up)
        assert seen == [False, True]
        assert unrest.last == "Live is restarted, away for 0.3 s"
