"""Upgrades, of the bridge and of Postgres, and a server whose clock reads otherwise: nothing lost, nothing twice."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.chaos.bridges import settings_for
from tests.faults.readings import ROUTE, TABLE, readings
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.errors import ConfigError
from trio_bridge.service import run_service

# Whole processes, on processors that others use too.
pytestmark = pytest.mark.deadline(90)

NEWER = "UPDATE trio_bridge.checkpoint SET format = 2, epoch = epoch + 1"
OURS = "UPDATE trio_bridge.checkpoint SET format = 1"
UNSAVED = (
    f"SELECT count(*) FROM {TABLE} r, trio_bridge.checkpoint c "
    "WHERE NOT pg_visible_in_snapshot(r.txid, c.snapshot)"
)


@pytest.mark.fault(121)
async def test_a_newer_bridge_takes_over_and_goes_back(database: Database) -> None:
    """A checkpoint of a newer format is refused with its reason and left alone; back in ours, all goes on."""
    async with readings(database.dsn) as world:
        with capture_logs() as logs:
            async with world.bridge() as route:
                await world.wait_arrived(*world.insert(3))
                await wait_until(lambda: world.execute(UNSAVED) == [(0,)])
                world.execute(NEWER)
                written = world.checkpoint()
                world.live.faults.cut()
                await wait_until(lambda: "format 2" in route.failure)
                world.insert(3)
                assert world.checkpoint() == written
                with pytest.raises(ConfigError, match="of format 2, this program knows 1: upgrade it"):
                    await run_service(settings_for(world.dsn, world.live, ROUTE))
                world.execute(OURS)
                await world.wait_all()
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == []


@pytest.fixture
def two_servers() -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """The one before an upgrade, and the one after it, empty as yet."""
    with EmbeddedPostgres() as old, EmbeddedPostgres() as new:
        yield old, new


def upgrade(old: EmbeddedPostgres, new: EmbeddedPostgres) -> None:
    """What an administrator does: pg_upgrade between the two, both stopped; the new one is started."""
    old.stop()
    new.stop()
    programs = str(new.binaries.directory)
    command = new.binaries.command(
        "pg_upgrade",
        *("--old-bindir", programs, "--new-bindir", programs),
        *("--old-datadir", str(old._watch.data), "--new-datadir", str(new._watch.data)),
        *("--old-port", str(old.port), "--new-port", str(new.port)),
        *("--username", "postgres", "--socketdir", str(new.directory), "--no-sync"),
    )
    subprocess.run(command, cwd=new.directory, check=True, capture_output=True)
    new.start()


@pytest.mark.fault(122)
@pytest.mark.deadline(120)
async def test_pg_upgrade(two_servers: tuple[EmbeddedPostgres, EmbeddedPostgres]) -> None:
    """The new cluster is refused until the operator says what the refusal asks for; then all goes on."""
    old, new = two_servers
    async with readings(old.dsn()) as world:
        async with world.bridge():
            await world.wait_arrived(*world.insert(3))
        world.insert(3, "before the upgrade")
        upgrade(old, new)
        world.dsn = new.dsn()
        world.insert(3, "after the upgrade")
        with pytest.raises(ConfigError, match="written in another cluster") as refused:
            await run_service(settings_for(world.dsn, world.live, ROUTE))
        (remedy,) = re.findall("Only after pg_upgrade.*: (UPDATE .*)", str(refused.value))
        world.execute(remedy)
        async with world.bridge():
            await world.wait_all()


ZONES = ("America/New_York", "Asia/Kathmandu", "Europe/London", "Antarctica/Troll")
# An hour that summer time repeats, and one that it leaves out.
MOMENTS = ("2026-11-01 01:30-04", "2026-11-01 01:30-05", "2026-03-08 02:30-05", "2026-10-25 01:30+01")


@pytest.mark.fault(123)
async def test_the_servers_time_zone_changes() -> None:
    """Whatever zone the server and its sessions are put into, every row keeps its time, also in the repeated hour."""
    with EmbeddedPostgres() as server:
        async with readings(server.dsn()) as world:
            for life in (ZONES[:2], ZONES[2:]):
                async with world.bridge():
                    for zone in life:
                        world.execute(f"ALTER SYSTEM SET timezone = '{zone}'")
                        world.execute("SELECT pg_reload_conf()")
                        for moment in MOMENTS:
                            world.execute(f"INSERT INTO {TABLE} (timestamp, value) VALUES (%s, 1)", moment)
                        await world.wait_arrived(*world.insert())
