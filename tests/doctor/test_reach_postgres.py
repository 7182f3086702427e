"""Name, connection, TLS, login: each refusal in its own words, and nothing tried beyond it."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.doctor.world import NOWHERE, broken, examined, installed, lying_proxy, postgres
from tests.grafana.raw_peer import TLS, listen
from tests.pg import Database
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.secret import Secret

PASSWORD = "s3cr3t of the superuser"


@pytest.fixture(scope="module")
def guarded() -> Iterator[EmbeddedPostgres]:
    """A server that wants passwords, with a role that may not log in and one that pg_hba.conf rejects."""
    with EmbeddedPostgres(password=Secret(PASSWORD)) as server:
        with server.connect() as connection:
            connection.execute(
                "CREATE ROLE sleeper NOLOGIN PASSWORD 's3cr3t'; "
                "CREATE ROLE crowded LOGIN CONNECTION LIMIT 0 PASSWORD 's3cr3t'; "
                "CREATE ROLE barred LOGIN PASSWORD 's3cr3t'"
            )
            ((path,),) = connection.execute("SHOW hba_file").fetchall()
            file = Path(path)
            file.write_text("host all barred all reject\n" + file.read_text())
        # Read at the start: a reload would be done some time later.
        server.restart()
        yield server


def error_response(message: str) -> bytes:
    """PostgreSQL's message ErrorResponse."""
    fields = b"SFATAL\0VFATAL\0C08P01\0M" + message.encode() + b"\0\0"
    return b"E" + struct.pack("!i", len(fields) + 4) + fields


async def _says_no_tls_and(stream: trio.abc.Stream, answer: bytes) -> None:
    # Whether or not libpq asks for TLS first; the doctor does.
    while data := await stream.receive_some():
        if len(data) == 8:
            await stream.send_all(b"N")
        else:
            await stream.send_all(answer)
            return


async def test_a_name_that_is_not_resolved() -> None:
    """The name is the cause, and nothing behind it is tried."""
    found = await examined(postgres=postgres("host=a..b"))
    broken(found["postgres name"], 3, "cannot resolve the name of the Postgres host a..b")
    assert found["postgres connection"].sentence == "not tried: postgres name comes first"
    assert found["public.live_metrics: checkpoint"].status == "skipped"
    # Grafana does not hang on it.
    assert found["grafana connection"].status == "failed"


async def test_a_closed_port() -> None:
    """Nobody listens: host, port and a command that tries the same."""
    found = (await examined(postgres=postgres(f"host=127.0.0.1 port={NOWHERE}")))["postgres connection"]
    broken(found, 3, f"nothing listens at 127.0.0.1:{NOWHERE} (Connection refused)")
    assert f"pg_isready -h 127.0.0.1 -p {NOWHERE}" in found.remedy


async def test_a_missing_unix_socket(tmp_path: Path) -> None:
    """The socket's path is named."""
    found = await examined(postgres=postgres(f"host={tmp_path} port=5432"))
    broken(found["postgres connection"], 3, f"Unix socket {tmp_path}/.s.PGSQL.5432")


async def test_a_socket_without_a_file(tmp_path: Path) -> None:
    """libpq's @ names a socket in the kernel's own space."""
    directory = f"@{tmp_path}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{tmp_path}/.s.PGSQL.5432")
        listener.listen()
        found = await examined(postgres=postgres(f"host={directory} port=5432", connect_timeout_s=0.2))
    assert found["postgres connection"].sentence == f"{directory}/.s.PGSQL.5432 accepts connections"
    broken(found["postgres login"], 3, "did not let us in within the time given")


async def test_a_server_that_is_silent(nursery: trio.Nursery) -> None:
    """Something that takes the connection and says nothing is not waited for."""

    async def handler(stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            pass

    port = await listen(nursery, handler)
    found = await examined(postgres=postgres(f"host=127.0.0.1 port={port}", connect_timeout_s=0.2))
    broken(found["postgres TLS"], 3, "said nothing for 0.2 s")


async def test_something_else_than_postgres(nursery: trio.Nursery) -> None:
    """A web server at the port is told apart."""

    async def handler(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    port = await listen(nursery, handler)
    found = await examined(postgres=postgres(f"host=127.0.0.1 port={port}"))
    broken(found["postgres TLS"], 3, "does not answer as PostgreSQL does")


async def test_tls_demanded_and_not_offered(database: Database) -> None:
    """sslmode=require on a server without TLS."""
    found = await examined(postgres=postgres(f"{database.dsn} sslmode=require"))
    broken(found["postgres TLS"], 3, "offers no TLS, and sslmode=require demands it")


@pytest.mark.parametrize("certificate", ["good", "expired"])
async def test_a_certificate_that_is_not_trusted(nursery: trio.Nursery, certificate: str) -> None:
    """sslmode=verify-full and a certificate of an unknown authority, or an old one of a known one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / f"{certificate}.pem")

    async def handler(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"S")
        server = trio.SSLStream(stream, context, server_side=True)
        await server.do_handshake()
        await server.receive_some()

    port = await listen(nursery, handler)
    authority = TLS / ("ca.pem" if certificate == "expired" else "other.pem")
    dsn = f"host=localhost hostaddr=127.0.0.1 port={port} user=x sslmode=verify-full sslrootcert={authority}"
    found = await examined(postgres=postgres(dsn))
    assert found["postgres TLS"].status == "ok"
    broken(found["postgres login"], 3, "certificate verify failed")
    assert "sslrootcert=" in found["postgres login"].remedy


async def test_a_pooler_that_refuses_our_settings(nursery: trio.Nursery) -> None:
    """PgBouncer's answer to the startup packet names the pooler."""

    async def handler(stream: trio.abc.Stream) -> None:
        await _says_no_tls_and(stream, error_response("unsupported startup parameter: options"))

    port = await listen(nursery, handler)
    found = (await examined(postgres=postgres(f"host=127.0.0.1 port={port} user=x")))["postgres login"]
    broken(found, 3, "a connection pooler is in the way")
    assert "not of the pooler" in found.remedy


async def test_a_server_older_than_14(nursery: trio.Nursery) -> None:
    """A server that does not know idle_session_timeout is too old."""

    async def handler(stream: trio.abc.Stream) -> None:
        text = 'unrecognized configuration parameter "idle_session_timeout"'
        await _says_no_tls_and(stream, error_response(text))

    port = await listen(nursery, handler)
    found = (await examined(postgres=postgres(f"host=127.0.0.1 port={port} user=x")))["postgres login"]
    broken(found, 3, "it must be 14 or newer")
    assert found.remedy.startswith("upgrade")


@pytest.mark.parametrize(
    ("login", "words", "remedy"),
    [
        (("postgres", "postgres", "wr0ng"), "password authentication failed", "password_file"),
        (("postgres", "postgres", None), "no password supplied", "password_file"),
        (("nobody", "postgres", "s3cr3t"), "password authentication failed", "password_file"),
        (("postgres", "nowhere", PASSWORD), 'database "nowhere" does not exist', "correct dbname"),
        (("sleeper", "postgres", "s3cr3t"), "is not permitted to log in", "ALTER ROLE"),
        (("barred", "postgres", "s3cr3t"), "pg_hba.conf rejects connection", "pg_hba.conf"),
        (("crowded", "postgres", "s3cr3t"), "too many connections", "max_connections"),
    ],
)
async def test_a_refused_login(
    guarded: EmbeddedPostgres, login: tuple[str, str, str | None], words: str, remedy: str
) -> None:
    """What the server says, what to do about it, and never the password."""
    user, dbname, password = login
    secret = None if password is None else Secret(password)
    found = (await examined(postgres=postgres(guarded.dsn(dbname, user), password=secret)))["postgres login"]
    broken(found, 3, words)
    assert remedy in found.remedy


async def test_a_missing_role(database: Database) -> None:
    """A role that does not exist."""
    found = (await examined(postgres=postgres(f"{database.dsn} user=stranger")))["postgres login"]
    broken(found, 3, 'role "stranger" does not exist')
    assert "CREATE ROLE" in found.remedy


async def test_a_missing_password_file(tmp_path: Path) -> None:
    """An unreadable file is the configuration's fault: exit code 2."""
    settings = postgres("host=127.0.0.1", password_file=tmp_path / "no")
    broken((await examined(postgres=settings))["postgres name"], 2, str(tmp_path / "no"))


@pytest.mark.parametrize("from_file", [False, True])
async def test_a_peer_that_sends_the_password_back(
    nursery: trio.Nursery, tmp_path: Path, from_file: bool
) -> None:
    """What a server repeats of our password is masked, wherever we have it from."""
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)

    async def handler(stream: trio.abc.Stream) -> None:
        await _says_no_tls_and(stream, error_response(f"password authentication failed for {PASSWORD}"))

    port = await listen(nursery, handler)
    given: dict[str, Any] = {"password_file": file} if from_file else {"password": Secret(PASSWORD)}
    settings = postgres(f"host=127.0.0.1 port={port} user=x", **given)
    broken((await examined(postgres=settings))["postgres login"], 3, "failed for ********")


async def test_a_login_that_works(database: Database) -> None:
    """The four hops are all right, also by way of an honest proxy."""
    installed(database.dsn)
    async with lying_proxy(database.dsn) as dsn:
        found = await examined(postgres=postgres(dsn))
    postgres_hops = [finding for hop, finding in found.items() if hop.startswith("postgres")]
    assert {finding.status for finding in postgres_hops} == {"ok"}
