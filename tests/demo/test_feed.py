"""The feed as a process: it writes until told to stop, and says in one line what keeps it from writing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from tests.pg import Database
from tests.waiting import wait_until
from trio_bridge.postgres.install import DEMO_TABLE, install


@contextmanager
def feeding(dsn: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``python -m trio_bridge feed`` on `dsn`; ended at the latest with the block."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("TRIO_BRIDGE_")}
    with subprocess.Popen(
        [sys.executable, "-m", "trio_bridge", "feed", *arguments],
        env={**clean, "TRIO_BRIDGE_POSTGRES_DSN": dsn},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_rows_come_until_it_is_stopped(database: Database) -> None:
    """Rows of every sensor at the rate that was asked for; SIGTERM ends it with exit code 0 and the count."""
    install(database.dsn, DEMO_TABLE, routes=[])
    count = "SELECT count(*), count(DISTINCT sensor) FROM live_metrics"
    with feeding(database.dsn, "--rate", "500", "--sensors", "3") as process:
        await wait_until(lambda: database.execute(count)[0][0] >= 100)
        process.send_signal(signal.SIGTERM)
        _, said = await trio.to_thread.run_sync(process.communicate)
    assert process.returncode == 0, said
    ((rows, sensors),) = database.execute(count)
    assert json.loads(said.splitlines()[-1])["committed"] == rows
    # The last of the three appears after some seconds.
    assert sensors == 2


def outcome(dsn: str) -> tuple[int, str]:
    with feeding(dsn) as process:
        _, said = process.communicate(timeout=30)
    return process.returncode, said


def test_a_missing_table_is_the_operators(database: Database) -> None:
    """Nothing installed, no right, another table of that name: exit code 2 and the command that mends it."""
    code, said = outcome(database.dsn)
    assert (code, said) == (
        2,
        (
            'trio-bridge: relation "public.live_metrics" does not exist: '
            "run `trio-bridge install --table public.live_metrics` first, which makes it\n"
        ),
    )
    install(database.dsn, DEMO_TABLE, routes=[])
    role = f"feeder_{database.name}"
    database.execute(f"CREATE ROLE {role} LOGIN")
    try:
        code, said = outcome(database.server.dsn(database.name, role))
    finally:
        database.execute(f"DROP ROLE {role}")
    assert (code, "GRANT INSERT ON public.live_metrics" in said) == (2, True), said


def test_a_server_that_is_not_there_ends_it_at_once() -> None:
    """What is wrong at the start is said, not waited for."""
    code, said = outcome("postgresql://nobody@127.0.0.1:1/none")
    assert (code, said.startswith("trio-bridge: cannot connect to postgres: ")) == (1, True), said


def test_a_row_that_is_refused_ends_it(database: Database) -> None:
    """A constraint that the rows break is told in the database's words."""
    install(database.dsn, DEMO_TABLE, routes=[])
    database.execute("ALTER TABLE live_metrics ADD CONSTRAINT cold CHECK (value < 0)")
    code, said = outcome(database.dsn)
    assert code == 1, said
    assert "postgres refused a row: new row for relation" in said
