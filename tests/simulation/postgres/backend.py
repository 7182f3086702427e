"""One session of the cluster: its transaction, its locks, its ears. Writers and strangers use it directly.

Outside of `begin` every statement is a transaction of its own. A commit has two moments: in the log (a crash may keep
it) and visible; `commit` is both. Commits that ring take turns from the first to the second, as PostgreSQL's lock on
the notification queue has it: one that must wait happens by itself when its turn comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.simulation.postgres.faults import BackendEnded, TableLocked
from tests.simulation.postgres.locks import Key
from tests.simulation.postgres.rows import Point, Row
from tests.simulation.postgres.transaction import Bell, Transaction
from tests.simulation.postgres.wal import Insert

if TYPE_CHECKING:
    from tests.simulation.postgres.cluster import Cluster


class Backend:
    """See the module.

    Attributes:
        pid: never used again in this cluster.
        ended: the session is gone.
        replica: whether its inserts fire no trigger (``session_replication_role``).
        listening: the channels.
        hear: called with each bell of them, as its transaction becomes visible.
        on_end: called once with the reason when the session ends.
    """

    def __init__(self, cluster: Cluster, pid: int) -> None:
        self.pid = pid
        self.ended = False
        self.replica = False
        self.listening: set[str] = set()
        self.hear: Callable[[Bell], None] = lambda _: None
        self.on_end: Callable[[str], None] = lambda _: None
        self._cluster = cluster
        self._transaction: Transaction | None = None
        self._synchronous = True
        self._ends_in_turn = False

    @property
    def in_transaction(self) -> bool:
        """Between `begin` and the visible end."""
        return self._transaction is not None

    def begin(self) -> None:
        """BEGIN."""
        self._alive()
        assert self._transaction is None
        self._transaction = Transaction(self._cluster.xids, self._cluster.wal)

    def savepoint(self, name: str) -> None:
        """SAVEPOINT."""
        self._own().savepoint(name)

    def rollback_to(self, name: str) -> None:
        """ROLLBACK TO."""
        self._own().rollback_to(name)

    def release(self, name: str) -> None:
        """RELEASE."""
        self._own().release(name)

    def rollback(self) -> None:
        """ROLLBACK."""
        self._own().abort()
        self._transaction = None

    def commit(self, *, synchronous: bool | None = None) -> bool:
        """COMMIT; False: behind another notifying one, it will be done as soon as that is.

        Args:
            synchronous: of this transaction; None: as the cluster has it.
        """
        self.begin_commit(synchronous=synchronous)
        return self.end_commit()

    def begin_commit(self, *, synchronous: bool | None = None) -> bool:
        """The commit is in the log, unless it must wait for its turn (False)."""
        transaction, turns = self._own(), self._cluster.turns
        self._synchronous = self._cluster.synchronous_commit if synchronous is None else synchronous
        if transaction.rings:
            turns.append(self)
            if turns[0] is not self:
                return False
        transaction.log_commit(synchronous=self._synchronous)
        return True

    def end_commit(self) -> bool:
        """It is visible, and rings, unless it still waits for its turn (False)."""
        self._alive()
        transaction, turns = self._transaction, self._cluster.turns
        assert transaction is not None
        if not transaction.logged:
            self._ends_in_turn = True
            return False
        rows, bells = transaction.end_commit()
        self._transaction = None
        self._cluster.publish(rows, bells)
        if turns and turns[0] is self:
            turns.popleft()
            if turns:
                turns[0].take_turn()
        return True

    def take_turn(self) -> None:
        """Nobody is between the two moments any more: go on with a commit that waits."""
        assert self._transaction is not None
        self._transaction.log_commit(synchronous=self._synchronous)
        if self._ends_in_turn:
            self._ends_in_turn = False
            self.end_commit()

    @contextmanager
    def statement(self) -> Iterator[Transaction]:
        """The transaction of one statement."""
        alone = not self.in_transaction
        if alone:
            self.begin()
        transaction = self._own()
        if not alone:
            yield transaction
            return
        try:
            yield transaction
        except BaseException:
            self.rollback()
            raise
        self.commit()

    def insert(self, points: Sequence[Point], ids: Sequence[int] | None = None) -> list[Row]:
        """One INSERT.

        Args:
            points: the rows.
            ids: theirs, unique in the table; None: from the sequence.

        Raises:
            TableLocked: see there.
        """
        cluster = self._cluster
        with self.statement() as transaction:
            if cluster.table_locked and not transaction.touched:
                raise TableLocked
            transaction.touched = True
            if points:
                xid, txid = transaction.xid(), transaction.top_xid()
                numbers = ids if ids is not None else [cluster.next_id() for _ in points]
                rows = [
                    Row(cluster.next_uid(), txid, number, point)
                    for number, point in zip(numbers, points, strict=True)
                ]
                transaction.log(Insert(xid, rows))
                transaction.add(rows)
            else:
                rows = []
            if cluster.trigger and not self.replica and not cluster.locks.may_share(cluster.gate, self.pid):
                transaction.ring(cluster.bell)
        return rows

    def draw(self) -> int:
        """``SELECT pg_current_xact_id()``."""
        with self.statement() as transaction:
            return transaction.top_xid()

    def try_lock(self, key: Key, *, shared: bool = False) -> bool:
        """``pg_try_advisory_lock``."""
        self._alive()
        return self._cluster.locks.try_lock(key, self.pid, shared=shared)

    def unlock(self, key: Key, *, shared: bool = False) -> bool:
        """``pg_advisory_unlock``."""
        self._alive()
        return self._cluster.locks.unlock(key, self.pid, shared=shared)

    def unlock_all(self) -> None:
        """``pg_advisory_unlock_all``."""
        self._alive()
        self._cluster.locks.free(self.pid)

    def try_gate(self, *, shared: bool = False) -> bool:
        """The table's gate."""
        return self.try_lock(self._cluster.gate, shared=shared)

    def free_gate(self, *, shared: bool = False) -> bool:
        """The table's gate."""
        return self.unlock(self._cluster.gate, shared=shared)

    def listen(self, channel: str) -> None:
        """LISTEN."""
        self._alive()
        self.listening.add(channel)

    def unlisten(self) -> None:
        """UNLISTEN *."""
        self._alive()
        self.listening.clear()

    def notify(self, channel: str, payload: bytes = b"") -> None:
        """NOTIFY."""
        with self.statement() as transaction:
            transaction.ring((channel, payload))

    def end(self, reason: str = "") -> None:
        """The session ends: what is not in the log is rolled back, its locks are free."""
        if self.ended:
            return
        if self._transaction is not None:
            if self._transaction.logged:
                self.end_commit()
            else:
                if self in self._cluster.turns:
                    self._cluster.turns.remove(self)
                self._transaction.abort()
        self._cluster.locks.free(self.pid)
        self.vanish(reason)

    def vanish(self, reason: str) -> None:
        """Gone without a trace, as in a crash."""
        self._transaction = None
        self.ended = True
        self._cluster.forget(self)
        self.on_end(reason)

    def _alive(self) -> None:
        if self.ended:
            raise BackendEnded

    def _own(self) -> Transaction:
        self._alive()
        assert self._transaction is not None
        assert self not in self._cluster.turns
        assert not self._transaction.logged
        return self._transaction
