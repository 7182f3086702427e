"""The demo's own books, apart from the bridge's: which rows were committed and which of them a viewer got.

Shares no code with the bridge: rows come in at one end from the writers (as the server confirmed them) and at
the other from the Live server (as they were published), each named by its instant and compared with what the
schedule says of it. One byte a row counts how often it arrived; the moments of rows under way are kept up to
a bound, and rows beyond it are counted but not timed.

At the end the table itself is asked, because only it knows of the inserts whose outcome the writers never
learned. Safe to use from the writers' threads and Trio's at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trio_bridge.demo.latency import LatencyMeter
from trio_bridge.demo.schedule import Row, Schedule

# Rows whose moment of commit is remembered until they arrive: 20 s of outage at 10,000 rows/s. Guess.
MAX_TIMED = 200_000

_MOST = 255


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the table and the viewer's side say about each other; all are rows.

    Attributes:
        committed: of this run, in the table.
        missing: in the table, and never arrived.
        phantom: arrived, and not in the table: it must never happen.
        duplicates: arrivals beyond a row's first.
        altered: arrivals whose value or sensor is not what was written.
    """

    committed: int
    missing: int
    phantom: int
    duplicates: int
    altered: int = 0

    @property
    def clean(self) -> bool:
        """Whether every committed row arrived as it was written, and nothing else."""
        return self.missing == self.phantom == self.altered == 0


class Audit:
    """Compares what went in with what came out, for one schedule.

    Attributes:
        schedule: whose rows are counted.
        latency: commit confirmed → published, of the rows that could be timed.
        delivered: rows that arrived at least once.
        duplicates: arrivals beyond a row's first.
        altered: arrivals whose value or sensor is not what was written.
        foreign: arrivals that are no row of this schedule, such as rows of an earlier run.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.latency = LatencyMeter()
        self.delivered = 0
        self.duplicates = 0
        self.altered = 0
        self.foreign = 0
        self._arrivals = bytearray()
        self._committed_at: dict[int, float] = {}
        self._delivered_at: dict[int, float] = {}
        self._lock = threading.Lock()

    def committed(self, numbers: Sequence[int], at: float) -> None:
        """The server has confirmed these rows at monotonic second `at`."""
        with self._lock:
            for number in numbers:
                # A row can be on the screen before its writer's thread has had its turn.
                delivered_at = self._delivered_at.pop(number, None)
                if delivered_at is None:
                    _remember(self._committed_at, number, at)
                else:
                    self.latency.add(delivered_at - at)

    def arrived(self, rows: Iterable[Row], at: float) -> None:
        """These rows were published at monotonic second `at`."""
        with self._lock:
            for row in rows:
                number = self.schedule.number(row.time_us)
                if number is None:
                    self.foreign += 1
                elif row != self.schedule.row(number):
                    self.altered += 1
                elif self._count(number) == 1:
                    self.delivered += 1
                    committed_at = self._committed_at.pop(number, None)
                    if committed_at is None:
                        _remember(self._delivered_at, number, at)
                    else:
                        self.latency.add(at - committed_at)
                else:
                    self.duplicates += 1

    def verdict(self, table_times_us: Iterable[int]) -> Verdict:
        """Compares the arrivals with the instants that are in the table; forgets nothing."""
        with self._lock:
            unexplained = bytearray(self._arrivals)
            committed = missing = 0
            for time_us in table_times_us:
                number = self.schedule.number(time_us)
                if number is None:
                    continue
                committed += 1
                if number < len(unexplained) and unexplained[number]:
                    unexplained[number] = 0
                else:
                    missing += 1
            phantom = len(unexplained) - unexplained.count(0)
            return Verdict(committed, missing, phantom, self.duplicates, self.altered)

    def _count(self, number: int) -> int:
        """One more arrival of a row; how many that makes (at most 255)."""
        if number >= len(self._arrivals):
            self._arrivals.extend(bytes(number + 1 - len(self._arrivals)))
        self._arrivals[number] = min(_MOST, self._arrivals[number] + 1)
        return self._arrivals[number]


def _remember(moments: dict[int, float], number: int, at: float) -> None:
    if len(moments) >= MAX_TIMED:
        del moments[next(iter(moments))]
    moments[number] = at
