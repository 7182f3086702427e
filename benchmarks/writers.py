"""Open-loop writers: PostgreSQL's own pgbench inserts numbered rows at a rate; its log says when each was due.

With a rate, pgbench draws the times at which transactions are due beforehand (Poisson, by seed), whatever the database
does: a stall makes all rows that were due meanwhile late, none is left out (no coordinated omission). Without a rate
each connection writes as fast as it can. pgbench is C and shares nothing with the systems measured; it comes with the
server that `EmbeddedPostgres` runs.

A row's number is in its ``value``: of transaction *n* of connection *c* it is ``((n - 1) * connections + c) * rows``
and the next ones. `Load.transactions` puts them on the monotonic clock, which is the sink's.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trio_bridge.demo.postgres_binaries import Binaries

_SINGLE = "INSERT INTO live_metrics (value) VALUES (:first);\n"
_MANY = "INSERT INTO live_metrics (value) SELECT g FROM generate_series(:first::bigint, :first + {last}) g;\n"


class Transaction(NamedTuple):
    """What was committed: rows ``first`` to ``first + rows - 1``; times in monotonic seconds."""

    first: int
    rows: int
    due_s: float
    sent_s: float
    committed_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """What to write.

    Attributes:
        seconds: how long.
        rate: rows a second; None: as fast as the connections can.
        connections: that write at a time.
        rows: in each transaction, which is one INSERT.
        synchronous_commit: whether a commit waits for the disk.
        seed: of the times when transactions are due.
    """

    seconds: int
    rate: float | None = None
    connections: int = 4
    rows: int = 1
    synchronous_commit: bool = True
    seed: int = 1

    @property
    def script(self) -> str:
        """What each connection of pgbench repeats."""
        insert = _SINGLE if self.rows == 1 else _MANY.format(last=self.rows - 1)
        number = f"(:n * {self.connections} + :client_id) * {self.rows}"
        return f"\\set first {number}\n\\set n :n + 1\n{insert}"

    @property
    def transactions_each(self) -> int:
        """What each connection commits where there is a rate; at least one."""
        assert self.rate is not None
        return max(1, round(self.rate * self.seconds / self.rows / self.connections))

    def run(self, binaries: Binaries, dsn: str) -> list[str]:
        """Write it all; blocks until that is done, however late. Returns the log's lines, for `transactions`.

        Raises:
            RuntimeError: pgbench failed.
        """
        with tempfile.TemporaryDirectory(prefix="trio-bridge-writers-") as name:
            directory = Path(name)
            # The server's programs may run as another user.
            directory.chmod(0o777)
            (directory / "script.sql").write_text(self.script)
            process = subprocess.run(  # noqa: S603 - the server's own program
                binaries.command("pgbench", *self._options(), self._conninfo(dsn)),
                check=False,
                capture_output=True,
                text=True,
                cwd=directory,
            )
            if process.returncode != 0:
                raise RuntimeError(f"pgbench failed: {process.stderr[-2000:]}")
            return [line for path in directory.glob("log.*") for line in path.read_text().splitlines()]

    def transactions(self, log: Iterable[str]) -> list[Transaction]:
        """What was committed, from the log's lines; some µs a line, so best when nothing is measured.

        Raises:
            RuntimeError: a transaction failed.
        """
        offset_s = monotonic_offset_s()
        return [self._transaction(line, offset_s) for line in log]

    def _options(self) -> list[str]:
        options = [
            *("--no-vacuum", "--protocol=prepared", f"--random-seed={self.seed}"),
            *(f"--client={self.connections}", "--jobs=1", "--define=n=0", "--file=script.sql"),
            *("--log", "--log-prefix=log"),
        ]
        if self.rate is None:
            return [*options, f"--time={self.seconds}"]
        # By number, not by time: at the end of its time pgbench forgets what was due and has not begun.
        return [*options, f"--transactions={self.transactions_each}", f"--rate={self.rate / self.rows}"]

    def _conninfo(self, dsn: str) -> str:
        commit = "on" if self.synchronous_commit else "off"
        return f"{dsn} options='-c synchronous_commit={commit}' application_name=writers"

    def _transaction(self, line: str, offset_s: float) -> Transaction:
        # PostgreSQL: pgbench, per-transaction logging. Latency counts from when the transaction was due.
        client, number, latency_us, _, epoch_s, us, *lag = line.split()
        if not latency_us.isdigit():
            raise RuntimeError(f"pgbench says that a transaction was {latency_us}: {line!r}")
        committed_s = int(epoch_s) + int(us) / 1e6 + offset_s
        due_s = committed_s - int(latency_us) / 1e6
        return Transaction(
            first=((int(number) - 1) * self.connections + int(client)) * self.rows,
            rows=self.rows,
            due_s=due_s,
            sent_s=due_s + (int(lag[0]) / 1e6 if lag else 0.0),
            committed_s=committed_s,
        )


def monotonic_offset_s() -> float:
    """What to add to seconds since 1970 to get monotonic ones; the tightest of some tries."""
    tries = []
    for _ in range(20):
        before = time.monotonic()
        now = time.time()
        after = time.monotonic()
        tries.append((after - before, (before + after) / 2 - now))
    return min(tries)[1]
