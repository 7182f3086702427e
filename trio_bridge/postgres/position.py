"""What has been delivered, told in snapshots: never in ids, which commit out of order.

A `Position` says: every row whose transaction is visible in `snapshot` has been handed on. While a delta of several
pages is under way, `target` is the snapshot that its first page fixed and `after` the last row handed on; once its
last page is there, the target becomes the snapshot. Pure: text in, text out, no clock, no connection.

Source of the snapshot's text form ``xmin:xmax:xip,…`` and of what it means: PostgreSQL manual, "Transaction ID and
Snapshot Information Functions".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from trio_bridge.errors import SourceError


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A ``pg_snapshot``.

    Attributes:
        xmin: every transaction below is finished.
        xmax: no transaction from here on had finished.
        xip: the transactions in between that were in progress, rising.
    """

    xmin: int
    xmax: int
    xip: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Read Postgres' text form.

        Raises:
            SourceError: the text is no snapshot.
        """
        try:
            xmin, xmax, xip = text.split(":")
            snapshot = cls(int(xmin), int(xmax), tuple(map(int, xip.split(","))) if xip else ())
        except ValueError:
            raise SourceError(f"not a pg_snapshot: {text[:80]!r}") from None
        # The comparison of texts finds what `int` forgives: blanks, signs, underscores, other digits.
        if not snapshot._is_ordered or str(snapshot) != text:
            raise SourceError(f"not a pg_snapshot: {text[:80]!r}")
        return snapshot

    @property
    def _is_ordered(self) -> bool:
        rising = all(lower < higher for lower, higher in pairwise(self.xip))
        within = all(self.xmin <= xid < self.xmax for xid in self.xip)
        return 0 < self.xmin <= self.xmax and rising and within

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.xip))}"

    def sees(self, xid: int) -> bool:
        """Whether the work of transaction `xid`, if it committed, is visible here."""
        return xid < self.xmax and xid not in self.xip


@dataclass(frozen=True, slots=True, order=True)
class RowMark:
    """Where a page ended: the last row's transaction and key (as text, in key order)."""

    txid: int
    key: tuple[str, ...]


class Span(Enum):
    """Which of the delta's index scans the next page still needs; names the statement."""

    FIRST = "first"
    IN_FLIGHT = "in_flight"
    AHEAD = "ahead"


@dataclass(frozen=True, slots=True)
class Position:
    """See the module. `target` and `after` are both set inside a delta of several pages, else both None."""

    snapshot: Snapshot
    target: Snapshot | None = None
    after: RowMark | None = None

    @property
    def span(self) -> Span:
        """Transactions in progress at `snapshot` come first, then those from its xmax on."""
        if self.after is None:
            return Span.FIRST
        return Span.IN_FLIGHT if self.after.txid < self.snapshot.xmax else Span.AHEAD

    def advanced(self, target: Snapshot, last: RowMark | None, *, more: bool) -> Position:
        """The position after one page.

        Args:
            target: the snapshot that the page's statement returned.
            last: the page's last row; None for an empty page.
            more: whether the delta has rows left.

        Raises:
            SourceError: the page does not follow this position; going on would lose rows.
        """
        if self.target is not None and target != self.target:
            raise SourceError(f"the delta changed its target from {self.target} to {target}")
        if not more:
            return Position(target)
        if last is None:
            raise SourceError("the delta promised more rows and gave none")
        if self.after is not None and last.txid < self.after.txid:
            raise SourceError(f"the delta went back from transaction {self.after.txid} to {last.txid}")
        if self.snapshot.sees(last.txid) or not target.sees(last.txid):
            raise SourceError(f"the delta returned transaction {last.txid}, which is not in it")
        return Position(self.snapshot, target, last)
