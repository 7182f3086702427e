"""A real PgBouncer before a real PostgreSQL: *owns* the process and its configuration; ends with the block."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo

from tests.chaos.run import wait_accepting
from tests.pg import Database

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

# What a PgBouncer is told that serves drivers which set more at the start than it knows.
IGNORED = "options,extra_float_digits"


@contextmanager
def pgbouncer(database: Database, directory: Path, *, mode: str, ignored: str = IGNORED) -> Iterator[str]:
    """The DSN of `database` through a pooler of one connection.

    Args:
        database: behind it.
        directory: for its configuration and log.
        mode: ``transaction`` or ``session``.
        ignored: settings of a session that it drops without a word.
    """
    assert PROGRAM is not None
    server = database.server
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(f"""
[databases]
{database.name} = host={server.host} port={server.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
ignore_startup_parameters = {ignored}
""")
    with (directory / "pgbouncer.log").open("ab") as log:
        # It refuses root as the server does, and gets there in the same way.
        process = subprocess.Popen(
            [*server.binaries.prefix, PROGRAM, str(configuration)], stdout=log, stderr=log, cwd="/"
        )
    try:
        dsn = make_conninfo(database.dsn, port=port)
        wait_accepting(dsn)
        yield dsn
    finally:
        process.terminate()
        process.wait()
