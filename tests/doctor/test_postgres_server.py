"""The server's faults: old, standby, behind a pooler, on a Unix socket, with a queue that fills."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doctor.world import broken, examined, installed, lying_proxy, postgres, warns
from tests.pg import Database
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.demo.postgres_binaries import find_binaries
from trio_bridge.doctor.postgres_server import FIRST_MINORS, judged_version

POOLER = "postgres without a pooler"


def _major() -> int:
    return int(find_binaries().version.split()[2].partition(".")[0])


@pytest.fixture(scope="module")
def odd() -> Iterator[EmbeddedPostgres]:
    """A server with a Unix socket, two-phase commit and the smallest notification queue there is."""
    # The queue's size is a setting only from PostgreSQL 17 on; an older server would not start with it.
    queue: dict[str, Any] = {"max_notify_queue_pages": 64} if _major() >= 17 else {}
    with EmbeddedPostgres(unix_socket=True, max_prepared_transactions=5, **queue) as server:
        installed(server.dsn())
        yield server


async def test_a_standby() -> None:
    """On a standby the cause is named, and what depends on writing is not tried."""
    with EmbeddedPostgres() as server:
        installed(server.dsn())
        with server.connect() as connection:
            ((data,),) = connection.execute("SHOW data_directory").fetchall()
        server.stop()
        (Path(data) / "standby.signal").touch()
        server.start()
        found = await examined(postgres=postgres(server.dsn()))
    broken(found["postgres primary"], 3, "hot standby, where LISTEN does not work")
    assert "target_session_attrs=read-write" in found["postgres primary"].remedy
    assert found["installation"].status == "skipped"


@pytest.mark.fault(47)
async def test_a_minor_with_the_listen_bug(database: Database) -> None:
    """A minor older than the repair of LISTEN is named with the first that has it."""

    def older(data: bytes) -> bytes:
        return re.sub(rb"(server_version\0\d+\.)(\d+)", lambda found: found[1] + b"0" * len(found[2]), data)

    async with lying_proxy(database.dsn, down=older) as dsn:
        found = (await examined(postgres=postgres(dsn)))["postgres version"]
    warns(found, "can fail at LISTEN with `could not access status of transaction`")
    major = int(re.findall(r"PostgreSQL (\d+)\.0 ", found.sentence)[0])
    assert found.remedy == f"update to {major}.{FIRST_MINORS[major]} or newer"


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (130_023, "failed"),
        (140_020, "warning"),
        (140_021, "ok"),
        (170_007, "warning"),
        (170_008, "ok"),
        (190_000, "ok"),
    ],
)
def test_versions(number: int, status: str) -> None:
    """Too old, old within its major version, good, and newer than we know."""
    assert judged_version(number).status == status


async def test_a_pooler_that_forgets_listen(database: Database) -> None:
    """LISTEN that ended up in another session is noticed."""

    def elsewhere(data: bytes) -> bytes:
        return re.sub(rb"LISTEN [^\0]*", lambda found: b"SELECT 1".ljust(len(found[0])), data)

    async with lying_proxy(database.dsn, up=elsewhere) as dsn:
        found = await examined(postgres=postgres(dsn))
    broken(found[POOLER], 3, "LISTEN is forgotten at the next statement: a transaction pooler")
    assert "PgBouncer" in found[POOLER].remedy
    assert found["installation"].sentence == f"not tried: {POOLER} comes first"


async def test_a_pooler_with_backends_of_its_own(database: Database) -> None:
    """A backend's number that is not the one of the login is noticed."""

    def made_up(data: bytes) -> bytes:
        # BackendKeyData: K, length, pid, key.
        return re.sub(rb"(?s)(K\0\0\0[\x0c-\x28])....", lambda found: found[1] + b"\0\0\0\1", data)

    async with lying_proxy(database.dsn, down=made_up) as dsn:
        found = (await examined(postgres=postgres(dsn)))[POOLER]
    broken(found, 3, "one session is answered by several backends (pids 1, ")


async def test_a_pooler_that_drops_settings(database: Database) -> None:
    """A session without our settings would be neither correct nor cut off when frozen."""
    async with lying_proxy(
        database.dsn, up=lambda data: data.replace(b"timeout=5000", b"timeout=7000")
    ) as dsn:
        found = (await examined(postgres=postgres(dsn)))[POOLER]
    broken(found, 3, "the settings of our session did not arrive", "idle_session_timeout 7s")


async def test_a_notify_that_never_comes(database: Database) -> None:
    """A NOTIFY that rings elsewhere is waited for, but not for ever."""

    def misled(data: bytes) -> bytes:
        return data.replace(b"trio_bridge_doctor", b"trio_bridge_nobody") if b"pg_notify" in data else data

    async with lying_proxy(database.dsn, up=misled) as dsn:
        found = (await examined(postgres=postgres(dsn)))[POOLER]
    broken(found, 3, "a NOTIFY did not come back")


async def test_a_unix_socket(odd: EmbeddedPostgres) -> None:
    """On a Unix socket a frozen bridge keeps its locks: a warning."""
    found = await examined(postgres=postgres(odd.dsn(host=odd.socket_directory)))
    warns(found["postgres transport"], "connected through a Unix socket", "frozen")
    assert found["installation"].status == "ok"


async def test_two_phase_commit(odd: EmbeddedPostgres) -> None:
    """With prepared transactions the bridge only polls: a warning."""
    found = await examined(postgres=postgres(odd.dsn()))
    warns(found["prepared transactions"], "max_prepared_transactions is 5")


@pytest.mark.parametrize(("notes", "status"), [(4, "warning"), (45, "failed")])
async def test_a_queue_that_fills(odd: EmbeddedPostgres, notes: int, status: str) -> None:
    """A listener that does not read fills the queue: a warning first, then a failure."""
    if _major() < 17:
        pytest.skip("8 GB is too large a queue to fill: its size is a setting only from PostgreSQL 17 on")
    with odd.connect() as sleeper, odd.connect() as writer:
        sleeper.execute("LISTEN nothing")
        sleeper.execute("BEGIN")
        for number in range(notes):
            writer.execute("SELECT pg_notify('nothing', %s)", (f"{number:07900}",))
        found = (await examined(postgres=postgres(odd.dsn())))["notification queue"]
        sleeper.execute("ROLLBACK")
    assert found.status == status
    assert "the notification queue is" in found.sentence
    assert "pg_terminate_backend" in found.remedy


async def test_defaults_of_the_role(database: Database) -> None:
    """Another default isolation is seen and said to be harmless, because our session overrides it."""
    installed(database.dsn)
    database.execute(f"ALTER DATABASE {database.name} SET default_transaction_isolation = 'repeatable read'")
    found = (await examined(postgres=postgres(database.dsn)))["postgres defaults"]
    assert found.status == "ok"
    assert "default_transaction_isolation=repeatable read: harmless" in found.sentence
