"""Transaction ids and what a snapshot says of them, as PostgreSQL's ``procarray.c`` and ``xid8funcs.c`` have it.

A snapshot's xmax is not the next id but one more than the latest that *ended*: ids that were drawn since and still run
are beyond it. Its list holds top-level transactions only: an id that a savepoint drew counts among the ended ones when
it is over, but is never shown as in progress.
"""

from __future__ import annotations

from typing import NamedTuple


class View(NamedTuple):
    """What ``pg_current_snapshot()`` returns; `str` is its text."""

    xmin: int
    xmax: int
    xip: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> View:
        """Back from the text."""
        xmin, xmax, xip = text.split(":")
        return cls(int(xmin), int(xmax), tuple(map(int, xip.split(","))) if xip else ())

    def sees(self, xid: int) -> bool:
        """``pg_visible_in_snapshot(xid, self)``."""
        return xid < self.xmax and xid not in self.xip

    def __str__(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.xip))}"


class Xids:
    """The counter, and who is under way.

    Attributes:
        next: the id that is drawn next.
        latest: the greatest that has ended.
    """

    def __init__(self, next_xid: int) -> None:
        self.next = next_xid
        self.latest = next_xid - 1
        self._running: set[int] = set()
        self._view: View | None = None

    def draw(self, *, top: bool) -> int:
        """The next id, for a transaction or a savepoint in one."""
        xid = self.next
        self.next += 1
        if top:
            self._running.add(xid)
            self._view = None
        return xid

    def ended(self, xid: int, children: list[int], *, top: bool) -> None:
        """A transaction, or a savepoint that is rolled back, is over, with all that it drew."""
        self.latest = max(self.latest, xid, *children)
        if top:
            self._running.remove(xid)
        self._view = None

    def view(self) -> View:
        """The snapshot of a session that has drawn no id itself."""
        if self._view is None:
            xmax = self.latest + 1
            xip = tuple(sorted(xid for xid in self._running if xid < xmax))
            self._view = View(xip[0] if xip else xmax, xmax, xip)
        return self._view
