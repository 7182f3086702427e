"""A run's surroundings: a fresh database, the sink, and one system that is known to work.

`Bench` *owns* the PostgreSQL server of a whole invocation; `Bench.attached` owns what belongs to one run and ends it.
A system counts as working when a row written after its start has reached the sink: rows with negative numbers are
written until one has. Blocking work is done in threads, so that Trio or asyncio may run this.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psycopg

from benchmarks import processes
from benchmarks.processes import Child
from benchmarks.systems import System, create_table
from benchmarks.writers import Load, Transaction
from trio_bridge.demo.postgres import EmbeddedPostgres

# The poller needs up to two of its intervals.
READY_LIMIT_S = 60.0
PROBE_INTERVAL_S = 0.02
# Twice the default keyframe interval of ours: longer than any pause between two messages of a system that has rows.
QUIET_S = 4.0


class SinkClient:
    """The sink's process; *owned* by who made it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.child = Child(
            [sys.executable, "-m", "benchmarks.sink"],
            log=directory / "sink.log",
            environment=dict(os.environ),
            piped=True,
        )
        self.url = f"http://127.0.0.1:{int(self._line())}"

    async def ask(self, *words: str) -> dict[str, Any]:
        """Its answer to a command."""
        return await anyio.to_thread.run_sync(self._ask, " ".join(words))

    async def arrivals(self) -> array[float]:
        """First arrivals by row number, monotonic seconds; NaN: never."""
        path = self._directory / "arrivals"
        await self.ask("write", str(path))
        return read_doubles(path)

    def _ask(self, command: str) -> dict[str, Any]:
        assert self.child.process.stdin is not None
        self.child.process.stdin.write(f"{command}\n".encode())
        self.child.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._line())
        return answer

    def _line(self) -> bytes:
        assert self.child.process.stdout is not None
        line = self.child.process.stdout.readline()
        if not line:
            self.child.process.wait()
            self.child.check()
        return line


@dataclass(frozen=True, slots=True)
class Usage:
    """What has been used so far, by whom: processor seconds, and what is on the socket."""

    at_s: float
    system_cpu_s: float
    postgres_cpu_s: float
    sink_cpu_s: float
    messages: int
    bytes: int
    connections: int


@dataclass(slots=True)
class Attached:
    """One system at work.

    Attributes:
        log: what the system writes.
        started_s: from starting its process to the arrival of the first row written meanwhile.
    """

    dsn: str
    server: EmbeddedPostgres
    postmaster: int
    sink: SinkClient
    system: Child | None
    log: Path
    started_s: float = math.nan

    async def usage(self) -> Usage:
        """Now."""
        counters = await self.sink.ask("counters")
        return Usage(
            at_s=time.monotonic(),
            system_cpu_s=processes.cpu_s(self.system.pid) if self.system else 0.0,
            postgres_cpu_s=processes.tree_cpu_s(self.postmaster),
            sink_cpu_s=processes.cpu_s(self.sink.child.pid),
            messages=counters["messages"],
            bytes=counters["bytes"],
            connections=counters["connections"],
        )

    async def write(self, load: Load) -> tuple[list[Transaction], Usage]:
        """Run `load` to its end; returns what was committed, and the usage at that moment.

        Raises:
            RuntimeError: the writers failed, or the table does not hold what they logged.
        """
        log = await anyio.to_thread.run_sync(load.run, self.server.binaries, self.dsn)
        usage = await self.usage()
        transactions = await anyio.to_thread.run_sync(load.transactions, log)
        committed = await anyio.to_thread.run_sync(self.count_rows)
        logged = sum(transaction.rows for transaction in transactions)
        if committed != logged:
            raise RuntimeError(f"the table has {committed} rows, the writers' log {logged}")
        return transactions, usage

    def count_rows(self) -> int:
        """Rows in the table but for probes."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute("SELECT count(*) FROM live_metrics WHERE value >= 0").fetchone()
        assert row is not None
        return int(row[0])

    async def wait_message(self) -> None:
        """Until the sink has got a first message.

        Raises:
            TimeoutError: none has come for `READY_LIMIT_S`.
        """
        with anyio.fail_after(READY_LIMIT_S):
            while not (await self.sink.ask("counters"))["messages"]:  # noqa: ASYNC110 - it is another process
                await anyio.sleep(0.05)

    async def settle(self, rows: int, limit_s: float) -> bool:
        """Wait until `rows` have arrived, or nothing has for `QUIET_S`, or `limit_s` is over; whether all have."""
        until = time.monotonic() + limit_s
        heard, quiet_since = -1, time.monotonic()
        while True:
            messages = (await self.sink.ask("counters"))["messages"]
            now = time.monotonic()
            if messages != heard:
                heard, quiet_since = messages, now
            elif (await self.sink.ask("rows"))["rows"] >= rows:
                return True
            # A system that sends what it has already sent is never quiet.
            if now > until or now - quiet_since > QUIET_S:
                return bool((await self.sink.ask("rows"))["rows"] >= rows)
            await anyio.sleep(0.05)


class Bench:
    """The PostgreSQL of an invocation, and a directory for what passes."""

    def __init__(self, server: EmbeddedPostgres, directory: Path) -> None:
        self.server = server
        self._directory = directory
        self._databases = 0
        with server.connect() as connection:
            self._postmaster = processes.parent(connection.info.backend_pid)

    def new_path(self, name: str) -> Path:
        """Where nothing is yet, as long as the bench lives."""
        return self._directory / f"{name}-{self._databases}"

    @asynccontextmanager
    async def attached(
        self, system: System | None, *, running: bool = True, rows_before: int = 0
    ) -> AsyncIterator[Attached]:
        """A fresh database with `system` at work in it; None: with nothing, for writers alone.

        Args:
            system: which.
            running: False: the database is prepared for it, but it is not there.
            rows_before: rows that are in the table before the system starts; it is yielded at once then.
        """
        self._databases += 1
        name = f"bench{self._databases}"
        directory = self._directory / name
        directory.mkdir()
        dsn = self.server.dsn(name)
        await anyio.to_thread.run_sync(self._prepare, name, dsn, system, rows_before)
        with ExitStack() as stack:
            sink = SinkClient(directory)
            stack.enter_context(sink.child)
            log = directory / "system.log"
            attached = Attached(dsn, self.server, self._postmaster, sink, None, log)
            if system is not None and running:
                began = time.monotonic()
                environment = system.full_environment(dsn, sink.url)
                child = Child(list(system.argv), log=log, environment=environment)
                attached.system = stack.enter_context(child)
                if not rows_before:
                    attached.started_s = await self._first_row(attached, child) - began
            yield attached
        await anyio.to_thread.run_sync(self.server.drop_database, name)

    async def _first_row(self, attached: Attached, child: Child) -> float:
        """Write probes until one arrives; returns when it did."""
        connection = await anyio.to_thread.run_sync(lambda: psycopg.connect(attached.dsn, autocommit=True))
        with connection, anyio.fail_after(READY_LIMIT_S):
            number = 0
            while True:
                number -= 1
                await anyio.to_thread.run_sync(
                    connection.execute, "INSERT INTO live_metrics (value) VALUES (%s)", (number,)
                )
                await anyio.sleep(PROBE_INTERVAL_S)
                child.check()
                first: float | None = (await attached.sink.ask("rows"))["first_probe_s"]
                if first is not None:
                    return first

    def _prepare(self, name: str, dsn: str, system: System | None, rows_before: int) -> None:
        self.server.create_database(name)
        create_table(dsn)
        if system is not None:
            system.prepare(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            if rows_before:
                connection.execute(
                    "INSERT INTO live_metrics (value) SELECT g FROM generate_series(0, %s) g",
                    (rows_before - 1,),
                )
                connection.execute("VACUUM ANALYZE live_metrics")
            connection.execute("CHECKPOINT")


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """A running PostgreSQL with fsync on."""
    # What is measured is neither a small cache nor a checkpoint that happens to come.
    server = EmbeddedPostgres(fsync=True, shared_buffers="256MB", max_wal_size="4GB", checkpoint_timeout="1h")
    with tempfile.TemporaryDirectory(prefix="trio-bridge-bench-") as name:
        try:
            await anyio.to_thread.run_sync(server.start)
            yield Bench(server, Path(name))
        finally:
            server.close()


def read_doubles(path: Path) -> array[float]:
    """What another process of this machine wrote."""
    numbers: array[float] = array("d")
    numbers.frombytes(path.read_bytes())
    return numbers
