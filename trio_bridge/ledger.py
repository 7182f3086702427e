"""The books of one route: every row that was seen is acknowledged, rejected, returned or pending; never in doubt.

    seen = acknowledged + rejected{reason} + returned + pending

*Returned* rows were read by a run of the route that ended before Grafana acknowledged them; the next run reads them
again from the table, and sees them again. `pending` is kept by itself, not derived, so that the equation is a check.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

Cause = Literal["postgres", "postgres_login", "grafana", "grafana_credentials", "configuration", "bug"]
"""Whose fault it was that a run failed."""

CAUSES: Final[tuple[Cause, ...]] = (
    "postgres",
    "postgres_login",
    "grafana",
    "grafana_credentials",
    "configuration",
    "bug",
)


@dataclass(frozen=True, slots=True)
class LedgerStatistics:
    """A moment of a `Ledger`; all are rows but `messages`, `bytes`, `keyframes`, `gaps` and `failures` (of runs)."""

    seen: int
    acknowledged: int
    rejected: dict[str, int]
    returned: int
    pending: int
    nulled: dict[str, int]
    messages: int
    bytes: int
    keyframes: int
    gaps: int
    failures: dict[Cause, int]

    @property
    def restarts(self) -> int:
        """Runs that failed, whatever the cause."""
        return sum(self.failures.values())

    @property
    def balanced(self) -> bool:
        """Whether the books close."""
        return self.seen == self.acknowledged + sum(self.rejected.values()) + self.returned + self.pending


class Ledger:
    """Counts for one route over all its runs; used from Trio's thread only."""

    def __init__(self) -> None:
        self._seen = 0
        self._acknowledged = 0
        self._rejected: Counter[str] = Counter()
        self._returned = 0
        self._pending = 0
        self._nulled: Counter[str] = Counter()
        self._messages = 0
        self._bytes = 0
        self._keyframes = 0
        self._gaps = 0
        self._failures: Counter[Cause] = Counter()

    def saw(self, rows: int) -> None:
        """The listener handed on `rows` rows."""
        self._seen += rows
        self._pending += rows

    def rejected(self, reason: str) -> None:
        """The decoder refused one row."""
        self._rejected[reason] += 1
        self._pending -= 1

    def nulled(self, reason: str, times: int = 1) -> None:
        """A value (not a row) was sent as null or rounded."""
        self._nulled[reason] += times

    def sent(self, size: int) -> None:
        """A message of `size` bytes was written."""
        self._messages += 1
        self._bytes += size

    def keyframe(self) -> None:
        """One of the messages was a keyframe."""
        self._keyframes += 1

    def acknowledged(self, rows: int) -> None:
        """Grafana has processed `rows` rows more."""
        self._acknowledged += rows
        self._pending -= rows

    def gap(self) -> None:
        """A channel route was not listening for a while: notifications may be lost."""
        self._gaps += 1

    def run_ended(self, cause: Cause | None) -> None:
        """A run of the route is over, failed by `cause` or drained; what it had not finished goes back to the table."""
        self._returned += self._pending
        self._pending = 0
        if cause is not None:
            self._failures[cause] += 1

    def statistics(self) -> LedgerStatistics:
        """The books at this moment."""
        return LedgerStatistics(
            seen=self._seen,
            acknowledged=self._acknowledged,
            rejected=dict(self._rejected),
            returned=self._returned,
            pending=self._pending,
            nulled=dict(self._nulled),
            messages=self._messages,
            bytes=self._bytes,
            keyframes=self._keyframes,
            gaps=self._gaps,
            failures=dict(self._failures),
        )
