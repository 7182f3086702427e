"""Postgres does not let the bridge in, or bounds what it may do there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import trio
from structlog.testing import capture_logs

from tests.chaos.writers import INSERT, TABLE
from tests.faults.delivering import delivering
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.secret import Secret

Figures = Callable[..., None]

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'trio_bridge %'"
WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'trio_bridge %' "
    "AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > '150 ms'"
)
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'trio_bridge %'"
)


@pytest.fixture
def guarded() -> Iterator[EmbeddedPostgres]:
    """A server that asks for passwords."""
    with EmbeddedPostgres(password=Secret("s3cr3t-owner")) as server:
        yield server


@pytest.mark.fault(29)
async def test_a_login_that_is_refused_later_is_tried_until_it_is_let_in(
    guarded: EmbeddedPostgres, tmp_path: Path
) -> None:
    """Password changed, role locked, host rejected: one line each without a secret, and rows flow when it is mended."""
    file = tmp_path / "password"
    file.write_text("s3cr3t-old")
    hba = next(guarded.directory.rglob("pg_hba.conf"))
    let_in = hba.read_text()
    owner = guarded.connect()
    owner.execute("CREATE ROLE bridge SUPERUSER LOGIN PASSWORD 's3cr3t-old'")
    dsn = guarded.dsn(password="s3cr3t-owner")

    def mend_password() -> None:
        file.write_text("s3cr3t-new")

    def reject() -> None:
        hba.write_text("host all bridge all reject\n" + let_in)
        owner.execute("SELECT pg_reload_conf()")

    def let_in_again() -> None:
        hba.write_text(let_in)
        owner.execute("SELECT pg_reload_conf()")

    faults: list[tuple[Callable[[], object], Callable[[], object], str]] = [
        (
            lambda: owner.execute("ALTER ROLE bridge PASSWORD 's3cr3t-new'"),
            mend_password,
            "password authentication failed",
        ),
        (
            lambda: owner.execute("ALTER ROLE bridge NOLOGIN"),
            lambda: owner.execute("ALTER ROLE bridge LOGIN"),
            "is not permitted to log in",
        ),
        (reject, let_in_again, "pg_hba.conf rejects connection"),
    ]
    with owner, capture_logs() as logs:
        via = guarded.dsn(user="bridge")
        async with delivering(dsn, via=via, password_file=file) as world:
            for fault, mend, words in faults:
                await world.wait_arrived(await world.insert())
                fault()
                owner.execute(TERMINATE)
                await wait_until(lambda words=words: words in world.route.failure)  # type: ignore[misc]
                # Refused again and again.
                failures = world.failures
                await wait_until(lambda failures=failures: world.failures >= failures + 2)  # type: ignore[misc]
                assert world.route.last_failure is not None
                assert world.route.last_failure.cause == "postgres_login"
                gap = await world.insert()
                mend()
                await world.wait_arrived(gap)
                await wait_until(lambda: world.route.failure == "")
            await world.assert_intact()
    said = [entry["reason"] for entry in logs if entry["event"] == "route_failed"]
    for _, _, words in faults:
        assert sum(words in reason for reason in said) == 1, said
    assert "s3cr3t" not in json.dumps(logs, default=str)


@pytest.mark.fault(30)
async def test_a_full_server_is_tried_until_there_is_room() -> None:
    """Without a free connection the bridge waits and tries again; then it takes exactly one for its route."""
    with EmbeddedPostgres(max_connections=8, superuser_reserved_connections=0) as server:
        async with delivering(server.dsn()) as world:
            await world.wait_arrived(await world.insert())
            with server.connect() as last:
                taken = await trio.to_thread.run_sync(take_all, server, last)
                await wait_until(lambda: "too many clients already" in world.route.failure)
                last.execute(INSERT, (0, 1.0, "meanwhile"))
                for connection in taken:
                    connection.close()
                await wait_until(lambda: world.route.failure == "")
                assert last.execute(SESSIONS).fetchone() == (1,)
            await world.wait_arrived(await world.insert())
            await world.assert_intact()


def take_all(server: EmbeddedPostgres, last: psycopg.Connection) -> list[psycopg.Connection]:
    """End the bridge's session and take every connection there is before it comes back."""
    taken: list[psycopg.Connection] = []
    while True:
        last.execute(TERMINATE)
        try:
            while True:
                taken.append(server.connect())
        except psycopg.OperationalError:
            if last.execute(SESSIONS).fetchone() == (0,):
                return taken


@pytest.mark.fault(31)
async def test_limits_of_the_administrator_do_not_reach_our_session(database: Database) -> None:
    """Timeouts that are set for every session of the database end neither the bridge's session nor a statement."""
    limits = {
        "statement_timeout": "1ms",
        "idle_session_timeout": "100ms",
        "idle_in_transaction_session_timeout": "1ms",
        "lock_timeout": "1ms",
        # Since PostgreSQL 17.
        "transaction_timeout": "20ms",
    }
    async with delivering(database.dsn) as world:
        with database.connect() as owner:
            for name, limit in limits.items():
                if name != "transaction_timeout" or owner.info.server_version >= 170_000:
                    owner.execute(f"ALTER DATABASE {database.name} SET {name} = '{limit}'")
            owner.execute(TERMINATE)
            await wait_until(lambda: world.failures == 1)
            await wait_until(lambda: world.route.status.phase == "running")
            # A statement that takes longer than any of the limits, because it waits for a lock.
            owner.execute("BEGIN")
            owner.execute(f"LOCK TABLE {TABLE}")
            found = owner.execute(INSERT + " RETURNING id", (0, 1.0, "")).fetchone()
            assert found is not None
            while owner.execute(WAITS).fetchone() == (0,):
                await trio.sleep(0.01)
            owner.execute("COMMIT")
            await world.wait_arrived([found[0]])
            # And a silence that is longer than any of them.
            await trio.sleep(0.3)
            owner.execute(f"ALTER DATABASE {database.name} RESET ALL")
        await world.assert_intact()
        assert world.failures == 1
