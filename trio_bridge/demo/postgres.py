"""A PostgreSQL server of our own: a fresh cluster in a temporary directory, on a free port of the loopback.

Turns the binaries that `trio_bridge.demo.postgres_binaries` found into a running server that can be stopped,
crashed and started again on the same port with the same data. `EmbeddedPostgres` owns the directory and the
server process; `close` (or leaving the ``with`` block) ends both.

No orphan, however this process ends: see `trio_bridge.demo.deathwatch`.

Everything here blocks; from Trio call it through `trio.to_thread.run_sync`. It never listens beyond the
loopback.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from trio_bridge.demo.deathwatch import Deathwatch
from trio_bridge.demo.postgres_binaries import Binaries, find_binaries
from trio_bridge.errors import SourceError
from trio_bridge.secret import Secret

StopMode = Literal["fast", "immediate"]

# Start includes crash recovery of whatever a test wrote; guess, generous for a busy two-core machine.
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0

SUPERUSER = "postgres"

_SIGNALS: dict[StopMode, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class EmbeddedPostgres:
    """One PostgreSQL server that lives no longer than this object.

    Attributes:
        directory: everything the server writes; removed by `close`.
        host: the loopback address.
        port: known after the first `start`, the same after every restart.
        password: the superuser's, or None: every connection is trusted.
        binaries: which PostgreSQL this is.
    """

    def __init__(
        self,
        *,
        fsync: bool = False,
        password: Secret | None = None,
        unix_socket: bool = False,
        **settings: str | int,
    ) -> None:
        """Prepares; nothing runs before `start`.

        Args:
            fsync: whether a commit waits for the disk (False: faster, safe against all but a power cut).
            password: required of the superuser (SCRAM); None trusts every local user, as tests may.
            unix_socket: also listen on a socket in `socket_directory`.
            settings: further lines of ``postgresql.conf``, e.g. ``max_prepared_transactions=5``.

        Raises:
            ConfigError: there is no PostgreSQL to start.
        """
        self.binaries: Binaries = find_binaries()
        self.host = "127.0.0.1"
        self.port = 0
        self.password = password
        self._watch = Deathwatch()
        self.directory = self._watch.directory
        self.socket_directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._initialised = False
        if unix_socket:
            self.socket_directory = self.directory / "socket"
            self.socket_directory.mkdir(mode=0o700)
        self._settings: dict[str, str | int] = {
            "listen_addresses": self.host,
            "unix_socket_directories": str(self.socket_directory or ""),
            "fsync": "on" if fsync else "off",
            "shared_buffers": "16MB",
            "max_connections": 100,
            "log_line_prefix": "%m [%p] %a ",
            **settings,
        }

    @property
    def running(self) -> bool:
        """Whether the server process exists."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.directory / "postgres.log"

    def start(self) -> None:
        """Starts the server and returns when it takes connections; the first time it makes the cluster.

        Raises:
            SourceError: it did not start; the message ends with the tail of its log.
        """
        if self.running:
            raise SourceError("the embedded PostgreSQL is running already")
        if not self._initialised:
            self._initdb()
            self._initialised = True
        # PostgreSQL cannot be asked for "any free port", so another process may take ours before it binds.
        # Only before the first start: later the port is a promise to those who hold a DSN.
        ports = [self.port] if self.port else [_free_port() for _ in range(3)]
        for port in ports:
            if self._launch(port):
                self.port = port
                return
        raise SourceError(f"PostgreSQL found port {ports[-1]} in use:\n{self.log_tail()}")

    def stop(self, mode: StopMode = "fast") -> None:
        """Stops the server and waits for its end.

        Args:
            mode: ``fast`` ends sessions and writes a checkpoint; ``immediate`` is a crash, tidily.

        Raises:
            SourceError: it would not stop in time (it is killed then).
        """
        if self._process is None:
            return
        self._process.send_signal(_SIGNALS[mode])
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            tail = self.log_tail()
            self.kill9()
            raise SourceError(f"PostgreSQL did not stop ({mode}) in {STOP_TIMEOUT_S} s:\n{tail}") from None
        self._process = None

    def restart(self, mode: StopMode = "fast") -> None:
        """Stops (see `stop`) and starts again on the same port, with what had been committed."""
        self.stop(mode)
        self.start()

    def kill9(self) -> None:
        """Kills every process of the server at once, as a machine that loses its power does."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
        # The next start refuses while one process still holds the shared memory.
        self._watch.kill_all()

    def close(self) -> None:
        """Ends the server and removes its directory; may be called twice."""
        try:
            self.stop("immediate")
        finally:
            self._watch.release()

    def dsn(self, dbname: str = "postgres", user: str = SUPERUSER, **parameters: Any) -> str:
        """The libpq connection string, without the password; `parameters` are further libpq keywords."""
        own = {"host": self.host, "port": self.port, "dbname": dbname, "user": user}
        return make_conninfo("", **{**own, **parameters})

    def connect(self, dbname: str = "postgres", **parameters: Any) -> psycopg.Connection:
        """A new connection as the superuser, in autocommit mode; the caller owns it."""
        password = self.password.reveal() if self.password else None
        return psycopg.connect(self.dsn(dbname, **parameters), autocommit=True, password=password)

    def create_database(self, name: str, template: str = "template1") -> None:
        """Makes database `name`, a copy of `template`, to which nobody may be connected."""
        # Copying files beats logging every page for a database this small: 20-100 ms, measured.
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        with self.connect() as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))

    def drop_database(self, name: str) -> None:
        """Removes database `name`, ending the sessions that are left in it."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the server's log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _initdb(self) -> None:
        self._watch.data.mkdir(mode=0o700)
        authentication = ["--auth=trust"]
        if self.password is not None:
            secret_file = self.directory / f"password-{secrets.token_hex(4)}"
            secret_file.touch(mode=0o600)
            secret_file.write_text(self.password.reveal())
            authentication = ["--auth=scram-sha-256", f"--pwfile={secret_file}"]
        if self.binaries.owner is not None:
            for path in (self.directory, *self.directory.iterdir()):
                os.chown(path, self.binaries.owner, self.binaries.owner)
        outcome = subprocess.run(
            self.binaries.command(
                "initdb",
                f"--pgdata={self._watch.data}",
                f"--username={SUPERUSER}",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--no-instructions",
                *authentication,
            ),
            check=False,
            capture_output=True,
            text=True,
            cwd=self.directory,
        )
        if self.password is not None:
            secret_file.unlink()
        if outcome.returncode != 0:
            raise SourceError(f"initdb of {self.binaries.version} failed:\n{outcome.stderr.strip()}")
        with (self._watch.data / "postgresql.conf").open("a") as configuration:
            configuration.writelines(f"{name} = '{value}'\n" for name, value in self._settings.items())

    def _launch(self, port: int) -> bool:
        """Whether the server came up on `port`; False: the port is taken."""
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.binaries.command("postgres", "-D", str(self._watch.data), "-p", str(port)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                # Ctrl-C in the terminal is ours to handle: the bridge drains first.
                start_new_session=True,
            )
        self._process = process
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._ready(process.pid):
            if process.poll() is not None:
                self._process = None
                if b"Address already in use" in self.log.read_bytes()[before:]:
                    return False
                raise SourceError(f"PostgreSQL did not start:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                tail = self.log_tail()
                self.kill9()
                raise SourceError(f"PostgreSQL was not ready in {START_TIMEOUT_S} s:\n{tail}")
            time.sleep(0.005)
        return True

    def _ready(self, pid: int) -> bool:
        """Whether the server says so in the file that ``pg_ctl`` reads, and the file is of this start."""
        try:
            lines = (self._watch.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # First line: the process; eighth: its status (PostgreSQL: miscadmin.h, LOCK_FILE_LINE_*).
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
