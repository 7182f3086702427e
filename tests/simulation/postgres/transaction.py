"""One transaction and its savepoints: which ids they draw and when, what they wrote, what they will ring.

PostgreSQL, ``xact.c``: an id is drawn at the first write, for the outer levels first; a savepoint that is rolled back
ends its id there and then, one that is released hands its own, its rows and its bells to the level around it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation.postgres.rows import Row
from tests.simulation.postgres.wal import Abort, Commit, Record, Wal
from tests.simulation.postgres.xids import Xids

Bell = tuple[str, bytes]
"""Channel and payload."""


@dataclass(slots=True)
class _Level:
    name: str = ""
    xid: int | None = None
    children: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    # A dict for its order: the same bell twice is one.
    bells: dict[Bell, None] = field(default_factory=dict)


class Transaction:
    """See the module.

    Attributes:
        touched: whether it holds a lock on the table.
        logged: whether its commit is in the log.
    """

    def __init__(self, xids: Xids, wal: Wal) -> None:
        self.touched = False
        self.logged = False
        self._xids = xids
        self._wal = wal
        self._levels = [_Level()]
        self._wrote = False

    @property
    def rings(self) -> bool:
        """Whether some level has a bell."""
        return any(level.bells for level in self._levels)

    def top_xid(self) -> int:
        """``pg_current_xact_id()``: draws the top-level id if there is none yet."""
        top = self._levels[0]
        if top.xid is None:
            top.xid = self._xids.draw(top=True)
        return top.xid

    def xid(self) -> int:
        """The id under which the innermost level writes."""
        xid = self.top_xid()
        for level in self._levels[1:]:
            if level.xid is None:
                level.xid = self._xids.draw(top=False)
            xid = level.xid
        return xid

    def log(self, record: Record) -> None:
        """Something that a synchronous commit must wait for."""
        self._wal.append(record)
        self._wrote = True

    def add(self, rows: list[Row]) -> None:
        """Rows of the innermost level."""
        self._levels[-1].rows += rows

    def ring(self, bell: Bell) -> None:
        """At commit, if the innermost level gets there."""
        self._levels[-1].bells[bell] = None

    def savepoint(self, name: str) -> None:
        """SAVEPOINT."""
        self._levels.append(_Level(name))

    def release(self, name: str) -> None:
        """RELEASE SAVEPOINT."""
        for _ in range(self._index(name), len(self._levels)):
            self._release()

    def rollback_to(self, name: str) -> None:
        """ROLLBACK TO SAVEPOINT: it begins anew."""
        for _ in range(self._index(name), len(self._levels)):
            self._abort(self._levels.pop(), top=False)
        self.savepoint(name)

    def abort(self) -> None:
        """ROLLBACK."""
        while self._levels:
            self._abort(self._levels.pop(), top=not self._levels)

    def log_commit(self, *, synchronous: bool) -> None:
        """COMMIT up to the point where a crash may keep it, though nobody sees it yet."""
        while len(self._levels) > 1:
            self._release()
        if self.rings:
            self.top_xid()
        top = self._levels[0]
        if top.xid is not None:
            self._wal.append(Commit(top.xid, top.children))
            # RecordTransactionCommit: an id alone, without anything written, is not worth a wait for the disk.
            if synchronous and self._wrote:
                self._wal.flush()
        self.logged = True

    def end_commit(self) -> tuple[list[Row], list[Bell]]:
        """Seen by all from now on; returns what is new, and whom to ring."""
        top = self._levels[0]
        if top.xid is not None:
            self._xids.ended(top.xid, top.children, top=True)
        return top.rows, list(top.bells)

    def _index(self, name: str) -> int:
        return max(index for index, level in enumerate(self._levels) if index and level.name == name)

    def _release(self) -> None:
        inner = self._levels.pop()
        outer = self._levels[-1]
        if inner.xid is not None:
            outer.children += [inner.xid, *inner.children]
        outer.rows += inner.rows
        outer.bells |= inner.bells

    def _abort(self, level: _Level, *, top: bool) -> None:
        if level.xid is not None:
            self._wal.append(Abort(level.xid, level.children))
            self._xids.ended(level.xid, level.children, top=top)
