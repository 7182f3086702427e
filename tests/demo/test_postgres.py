"""The embedded PostgreSQL: starts, crashes when told, keeps what was committed, leaves nothing behind."""

from __future__ import annotations

import os

import psycopg
import pytest

from tests.demo.processes import processes_of
from trio_bridge.demo.postgres import EmbeddedPostgres, StopMode
from trio_bridge.errors import SourceError
from trio_bridge.secret import Secret


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill9"])
def test_restart_keeps_port_and_committed_rows(mode: str) -> None:
    """However the server ends, it comes back on the same port with every committed row."""
    with EmbeddedPostgres() as server:
        port = server.port
        with server.connect() as connection:
            connection.execute("CREATE TABLE t AS SELECT 1 AS a")
            if mode == "kill9":
                server.kill9()
                assert not server.running
                server.start()
            else:
                stop: StopMode = "fast" if mode == "fast" else "immediate"
                server.restart(stop)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        assert server.port == port
        with server.connect() as connection:
            assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]


def test_close_removes_directory_and_processes() -> None:
    """After the `with` block neither the directory nor any process is left."""
    with EmbeddedPostgres() as server:
        directory = server.directory
        assert processes_of(directory)
    assert not directory.exists()
    assert not processes_of(directory)


def test_terminal_interrupt_leaves_the_server_to_us() -> None:
    """Ctrl-C goes to our process group; the server is not in it, so a graceful stop can still reach it."""
    with EmbeddedPostgres() as server:
        processes = processes_of(server.directory)
        assert len(processes) >= 2
        assert os.getpgrp() not in {os.getpgid(pid) for pid in processes}


def test_password_is_required() -> None:
    """With a password nobody gets in without it."""
    with EmbeddedPostgres(password=Secret("correct horse")) as server:
        with server.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(server.dsn())
        assert "correct horse" not in server.dsn()
        assert [path.name for path in server.directory.glob("password*")] == []


def test_settings_and_unix_socket() -> None:
    """Further settings reach the server, and the socket is in the private directory."""
    with EmbeddedPostgres(fsync=True, unix_socket=True, max_prepared_transactions=7) as server:
        assert server.socket_directory is not None
        with server.connect(host=str(server.socket_directory)) as connection:
            for name, value in {"fsync": "on", "max_prepared_transactions": "7"}.items():
                assert connection.execute("SELECT current_setting(%s)", (name,)).fetchone() == (value,)
            assert connection.info.host == str(server.socket_directory)


def test_start_failure_shows_the_log() -> None:
    """A server that does not start says why, in the server's own words, and is cleaned away."""
    server = EmbeddedPostgres(shared_buffers="nonsense")
    with pytest.raises(SourceError, match="shared_buffers"), server:
        pass
    assert not server.directory.exists()


def test_databases_are_copies(pg: EmbeddedPostgres) -> None:
    """A database made from a template holds its tables; dropping it ends the sessions that are left."""
    pg.create_database("original")
    try:
        with pg.connect("original") as connection:
            connection.execute("CREATE TABLE t AS SELECT 5 AS a")
        pg.create_database("copy", template="original")
        with pg.connect("copy") as connection:
            assert connection.execute("SELECT a FROM t").fetchall() == [(5,)]
            pg.drop_database("copy")
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
    finally:
        pg.drop_database("original")
