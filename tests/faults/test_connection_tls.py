"""TLS to Postgres: a server that cannot prove who it is gets no login, and no plain connection instead."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from tests.faults.delivering import starting
from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.demo.postgres_binaries import DISTRIBUTION

TLS = Path(__file__).parents[1] / "data" / "tls"
WITH_TLS = sorted(DISTRIBUTION.glob("*/bin"))

ENCRYPTED = (
    "SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity USING (pid) "
    "WHERE application_name LIKE 'trio_bridge %'"
)


@pytest.fixture
def secured(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedPostgres]:
    """A server with TLS: Debian's, because the one of the wheel is built without."""
    if not WITH_TLS:
        pytest.skip("needs a PostgreSQL with TLS (Debian: apt-get install postgresql)")
    monkeypatch.setenv("TRIO_BRIDGE_PGBIN", str(WITH_TLS[-1]))
    server = EmbeddedPostgres(ssl_cert_file="server.pem", ssl_key_file="server.pem")
    with server:
        yield server


def show(server: EmbeddedPostgres, certificate: str) -> None:
    """From now on the server shows this certificate."""
    data = next(server.directory.rglob("PG_VERSION")).parent
    target = data / "server.pem"
    shutil.copyfile(TLS / f"{certificate}.pem", target)
    target.chmod(0o600)
    if server.binaries.owner is not None:
        shutil.chown(target, server.binaries.owner, server.binaries.owner)
    with server.connect() as connection:
        connection.execute("ALTER SYSTEM SET ssl = on")
        connection.execute("SELECT pg_reload_conf()")


@pytest.mark.fault(32)
async def test_only_a_server_that_proves_who_it_is_is_let_in(secured: EmbeddedPostgres) -> None:
    """Expired, of another host, of an unknown authority: refused with the reason, never in plain; then a good one."""
    via = make_conninfo(
        secured.dsn(),
        host="localhost",
        hostaddr="127.0.0.1",
        sslmode="verify-full",
        sslrootcert=str(TLS / "ca.pem"),
    )
    async with starting(secured.dsn(), via=via) as world:
        for certificate, words in (
            ("expired", "certificate verify failed"),
            ("early", "certificate verify failed"),
            ("other", 'does not match host name "localhost"'),
        ):
            show(secured, certificate)
            # An attempt may be under way; the next one meets the new certificate.
            failures = world.failures
            await wait_until(lambda failures=failures: world.failures >= failures + 2)  # type: ignore[misc]
            assert words in world.route.failure
        waiting = await world.insert(5)
        with secured.connect() as connection:
            assert connection.execute(ENCRYPTED).fetchall() == []
        show(secured, "good")
        await world.wait_arrived(waiting)
        with secured.connect() as connection:
            assert connection.execute(ENCRYPTED).fetchall() == [(True,)]
        await world.assert_intact(duplicates=0)
    secured.create_database("stranger")
    via = make_conninfo(via, dbname="stranger", sslrootcert=str(TLS / "other.pem"))
    async with starting(secured.dsn("stranger"), via=via) as world:
        await wait_until(lambda: "certificate verify failed" in world.route.failure)
        with secured.connect() as connection:
            assert connection.execute(ENCRYPTED).fetchall() == []


@pytest.mark.fault(32)
async def test_a_server_without_tls_gets_no_plain_login(database: Database) -> None:
    """Where TLS is demanded and not offered, the connection is refused and nothing is sent in plain."""
    via = make_conninfo(database.dsn, sslmode="verify-full", sslrootcert=str(TLS / "ca.pem"))
    async with starting(database.dsn, via=via) as world:
        await world.insert(5)
        await wait_until(lambda: "server does not support SSL" in world.route.failure)
        failures = world.failures
        await wait_until(lambda: world.failures >= failures + 2)
        assert [name for name in database.sessions() if name.startswith("trio_bridge ")] == []
        assert world.live.counters.connections == 0
