"""The checkpoint cannot be written for a while: delivery goes on, the operator is told once, nothing comes twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from structlog.testing import capture_logs

from tests.faults.readings import Readings, readings
from tests.pg import Database
from tests.waiting import wait_until

DISK_FULL = """
    CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER disk BEFORE UPDATE ON trio_bridge.checkpoint EXECUTE FUNCTION public.full()
"""


@contextmanager
def locked(world: Readings, database: Database, role: str) -> Iterator[None]:  # noqa: ARG001
    with database.connect(autocommit=False) as other:
        other.execute("LOCK TABLE trio_bridge.checkpoint")
        yield


@contextmanager
def read_only(world: Readings, database: Database, role: str) -> Iterator[None]:  # noqa: ARG001
    world.execute(f"REVOKE UPDATE ON trio_bridge.checkpoint FROM {role}")
    yield
    world.execute(f"GRANT UPDATE ON trio_bridge.checkpoint TO {role}")


@contextmanager
def disk_full(world: Readings, database: Database, role: str) -> Iterator[None]:  # noqa: ARG001
    world.execute(DISK_FULL)
    yield
    world.execute("DROP TRIGGER disk ON trio_bridge.checkpoint")


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """The bridge's own role."""
    name = f"bridge_{database.name}"
    database.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    database.execute(f"DROP OWNED BY {name}")
    database.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        pytest.param(locked, "lock timeout", marks=pytest.mark.fault(97)),
        pytest.param(read_only, "permission denied", marks=pytest.mark.fault(98)),
        pytest.param(disk_full, "No space left", marks=pytest.mark.fault(99)),
    ],
)
async def test_delivery_goes_on_while_the_checkpoint_cannot_be_written(
    database: Database,
    role: str,
    figures: Callable[..., None],
    trouble: Callable[[Readings, Database, str], AbstractContextManager[None]],
    sentence: str,
) -> None:
    """Locked, read only or out of disk: rows arrive, one line says why; then it is written again."""
    own = database.server.dsn(database.name, user=role)
    async with readings(database.dsn, role=role) as world, world.bridge(dsn=own) as route:
        await world.wait_arrived(*world.insert(3))
        await wait_until(lambda: route.status.unsaved_since is None)
        before = world.checkpoint()
        with capture_logs() as logs:
            with trouble(world, database, role):
                for _ in range(5):
                    await world.wait_arrived(*world.insert(10))
                await wait_until(lambda: any(entry["event"] == "checkpoint_not_written" for entry in logs))
                await world.wait_arrived(*world.insert(10))
                assert route.status.unsaved_since is not None
            await wait_until(lambda: route.status.unsaved_since is None)
        (said,) = [entry["reason"] for entry in logs if entry["event"] == "checkpoint_not_written"]
        assert sentence in said
        assert world.checkpoint() != before
        assert route.ledger.statistics().restarts == 0
        figures(duplicates=world.sink.duplicates)
