"""Looks once a second at the bridge's process, at Postgres and at the checkpoint, and every five at the metrics.

A thread with a connection of its own, so that it sees a moment in which the event loop is busy too. What must never be
(a checkpoint that goes back or covers a row that has not arrived, a writer that waits for us, books that do not close)
is noted as a sentence; while Postgres or the bridge is away there is nothing to see, which is no violation.
"""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import psycopg
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.bridges import BridgeProcess
from tests.chaos.sink import Sink
from tests.chaos.writers import TABLE

EVERY_S = 1.0
METRICS_EVERY_S = 5.0

_LOOK = """
SELECT pg_notification_queue_usage(),
    (SELECT count(*) FROM pg_stat_activity
     WHERE application_name LIKE 'trio_bridge %' AND state LIKE 'idle in transaction%'),
    (SELECT count(*) FROM pg_stat_activity AS waiting, unnest(pg_blocking_pids(waiting.pid)) AS blocking
     JOIN pg_stat_activity AS holder ON holder.pid = blocking
     WHERE waiting.application_name = 'writer' AND holder.application_name LIKE 'trio_bridge %')
"""
_COVERED = f"""
SELECT id FROM {TABLE}
WHERE txid >= pg_snapshot_xmin(%(old)s::pg_snapshot) AND txid < pg_snapshot_xmax(%(new)s::pg_snapshot)
    AND pg_visible_in_snapshot(txid, %(new)s::pg_snapshot) AND NOT pg_visible_in_snapshot(txid, %(old)s::pg_snapshot)
"""
# Covers no less than before: neither its end nor a transaction that it calls unfinished lies behind.
_GROWN = """
SELECT pg_snapshot_xmax(%(new)s::pg_snapshot) >= pg_snapshot_xmax(%(old)s::pg_snapshot) AND NOT EXISTS (
    SELECT FROM pg_snapshot_xip(%(new)s::pg_snapshot) AS unfinished
    WHERE pg_visible_in_snapshot(unfinished, %(old)s::pg_snapshot))
"""
_OWED = f"""
SELECT id FROM {TABLE}
WHERE txid >= pg_snapshot_xmin(%(old)s::pg_snapshot) AND NOT pg_visible_in_snapshot(txid, %(old)s::pg_snapshot)
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the process.

    Attributes:
        at_s: monotonic.
        pid: whose.
        rss_kib: resident memory.
        fds: open file descriptors.
        cpu_s: user and system time so far.
        queue_usage: of Postgres' notification queue, 0 to 1.
        rows: that had arrived.
    """

    at_s: float
    pid: int
    rss_kib: int
    fds: int
    cpu_s: float
    queue_usage: float
    rows: int


class Watch(threading.Thread):
    """See the module. Made while the table is empty and installed; `finish` ends it.

    Args:
        dsn: of a superuser.
        bridge: to look at; it may be replaced meanwhile.
        sink: what has arrived.

    Attributes:
        samples: one a second while the process lived.
        violations: what must never be.
        looks: at the checkpoint; 0 would mean that nothing was proved.
        scrapes: of the metrics.
        metrics: of the last scrape, by name; labels are added up.
        metrics_text: of the last scrape.
        failure: what this thread died of.
    """

    def __init__(self, dsn: str, bridge: BridgeProcess, sink: Sink) -> None:
        super().__init__(name="watch", daemon=True)
        self.samples: list[Sample] = []
        self.violations: list[str] = []
        self.looks = 0
        self.scrapes = 0
        self.metrics: dict[str, float] = {}
        self.metrics_text = ""
        self.failure: BaseException | None = None
        self._dsn = dsn
        self._bridge = bridge
        self._sink = sink
        self._ending = threading.Event()
        self._usage = 0.0
        self._url = ""
        self._repeated_before_covered = 0
        with self._connect() as connection:
            self._position = _checkpoint(connection)

    @property
    def repeated_in_vain(self) -> int:
        """Arrivals of rows again although a checkpoint seen before covered them; for when all rows are covered."""
        return self._sink.duplicates - self._repeated_before_covered

    def run(self) -> None:
        due = scrape_at = time.monotonic()
        try:
            while not self._ending.is_set():
                # A session that ends with its server is replaced at the next look.
                with contextlib.suppress(psycopg.OperationalError), self._connect() as connection:
                    while not self._ending.wait(max(0.0, due - time.monotonic())):
                        due = max(due + EVERY_S, time.monotonic())
                        self._look_at_process()
                        if time.monotonic() >= scrape_at:
                            scrape_at += METRICS_EVERY_S
                            self._scrape()
                        self._look_at_postgres(connection)
                self._look_at_process()
                self._ending.wait(EVERY_S)
        # A thread's failure is told to whoever joins it.
        except BaseException as error:  # noqa: ASYNC103
            self.failure = error

    def finish(self) -> None:
        """End it; one last look at the checkpoint, which by now should cover every row."""
        self._ending.set()
        self.join()
        if self.failure is not None:
            raise self.failure
        with self._connect() as connection:
            self._look_at_checkpoint(connection)
            if owed := connection.execute(_OWED, {"old": self._position}).fetchall():
                self.violations.append(f"{len(owed)} rows are not covered by the last checkpoint")

    def owed(self) -> Sequence[int]:
        """Keys of committed rows that have not arrived."""
        with self._connect() as connection:
            found = connection.execute(_OWED, {"old": self._position}).fetchall()
        return [key for (key,) in found if not self._sink.times(key)]

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self._dsn, autocommit=True, application_name="watch")

    def _look_at_process(self) -> None:
        bridge = self._bridge
        # It may be killed between two of these.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, AssertionError):
            pid = bridge.pid
            sample = Sample(
                time.monotonic(),
                pid,
                bridge.rss_kib(),
                bridge.open_files(),
                bridge.cpu_s(),
                self._usage,
                self._sink.rows,
            )
            if pid == bridge.pid:
                self.samples.append(sample)

    def _look_at_postgres(self, connection: psycopg.Connection) -> None:
        row = connection.execute(_LOOK).fetchone()
        assert row is not None
        self._usage, idle, waiting = row
        if idle:
            self.violations.append("a session of the bridge is idle in a transaction")
        if waiting:
            self.violations.append(f"{waiting} writers wait for a lock of the bridge")
        self._look_at_checkpoint(connection)

    def _look_at_checkpoint(self, connection: psycopg.Connection) -> None:
        """A checkpoint only grows, and covers only what has arrived: what is acknowledged has."""
        new = _checkpoint(connection)
        bounds = {"old": self._position, "new": new}
        if connection.execute(_GROWN, bounds).fetchone() != (True,):
            self.violations.append(f"the checkpoint went back from {self._position} to {new}")
        early = 0
        for (key,) in connection.execute(_COVERED, bounds):
            times = self._sink.times(key)
            early += not times
            self._repeated_before_covered += max(0, times - 1)
        if early:
            self.violations.append(f"checkpoint {new} covers {early} rows that had not arrived")
        self._position = new
        self.looks += 1

    def _scrape(self) -> None:
        try:
            self._url = self._url or self._told_url()
            with urllib.request.urlopen(self._url + "/metrics", timeout=2) as answer:
                self.metrics_text = answer.read().decode()
        except (OSError, HTTPException):
            # It is frozen, starting or dead; the next one will be elsewhere.
            self._url = ""
        else:
            self.metrics = totals(self.metrics_text)
            self.scrapes += 1
            rows = {name: self.metrics[f"trio_bridge_rows_{name}"] for name in _BOOKS}
            if rows["seen_total"] != sum(rows.values()) - rows["seen_total"]:
                self.violations.append(f"the books do not close: {rows}")

    def _told_url(self) -> str:
        told = [record["url"] for record in self._bridge.log() if record["event"] == "serving_status"]
        if not told:
            raise ConnectionRefusedError
        return str(told[-1])


_BOOKS = ("seen_total", "acknowledged_total", "rejected_total", "returned_total", "pending")


def totals(text: str) -> dict[str, float]:
    """Prometheus' text format → values by name, labels added up."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def secrets_told(secrets: Sequence[str], *, log: Path, pid: int, metrics: str) -> list[str]:
    """Where one of `secrets` stands that must not: the log, the command line, the metrics."""
    texts = {
        "log": log.read_text(),
        "command line": Path(f"/proc/{pid}/cmdline").read_text(),
        "metrics": metrics,
    }
    return [place for place, text in texts.items() if any(secret in text for secret in secrets)]


def _checkpoint(connection: psycopg.Connection) -> str:
    row = connection.execute(
        "SELECT snapshot::text FROM trio_bridge.checkpoint WHERE name = %s", (TABLE,)
    ).fetchone()
    assert row is not None
    return str(row[0])
