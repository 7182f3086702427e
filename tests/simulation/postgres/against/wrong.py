"""Models that are wrong in one thing each, as a comparison must be able to find them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulation.postgres.answers import Answers, row
from tests.simulation.postgres.backend import Backend
from tests.simulation.postgres.cluster import Cluster
from tests.simulation.postgres.locks import AdvisoryLocks
from tests.simulation.postgres.rows import Row, Table
from tests.simulation.postgres.transaction import Transaction
from tests.simulation.postgres.wal import Commit, Record, State, Wal
from tests.simulation.postgres.xids import View, Xids


def savepoints_in_progress(patch: pytest.MonkeyPatch) -> None:
    """Ids of savepoints are listed in the snapshot."""
    draw = Xids.draw

    def ended(self: Xids, xid: int, children: list[int], *, top: bool) -> None:  # noqa: ARG001
        self.latest = max(self.latest, xid, *children)
        self._running -= {xid, *children}
        self._view = None

    patch.setattr(Xids, "draw", lambda self, *, top: draw(self, top=True))  # noqa: ARG005
    patch.setattr(Xids, "ended", ended)


def xmax_is_next(patch: pytest.MonkeyPatch) -> None:
    """A snapshot's xmax is the next id, not one more than the latest that ended."""
    view = Xids.view

    def later(self: Xids) -> View:
        self.latest = self.next - 1
        self._view = None
        return view(self)

    patch.setattr(Xids, "view", later)


def rolled_back_savepoint_runs_on(patch: pytest.MonkeyPatch) -> None:
    """The id of a savepoint that is rolled back does not count as ended before its transaction does."""
    ended = Xids.ended

    def late(self: Xids, xid: int, children: list[int], *, top: bool) -> None:
        if top:
            ended(self, xid, children, top=top)

    patch.setattr(Xids, "ended", late)


def inner_savepoint_draws_alone(patch: pytest.MonkeyPatch) -> None:
    """A savepoint draws its id without those around it."""

    def xid(self: Transaction) -> int:
        top, level = self.top_xid(), self._levels[-1]
        if level.xid is None:
            level.xid = self._xids.draw(top=False)
        return top if len(self._levels) == 1 else level.xid

    patch.setattr(Transaction, "xid", xid)


def rows_carry_inner_xid(patch: pytest.MonkeyPatch) -> None:
    """A row's txid is its savepoint's."""
    add = Transaction.add

    def inner(self: Transaction, rows: list[Row]) -> None:
        for one in rows:
            one.txid = self.xid()
        add(self, rows)

    patch.setattr(Transaction, "add", inner)


def rollback_to_keeps_rows(patch: pytest.MonkeyPatch) -> None:
    """ROLLBACK TO is a RELEASE."""

    def rollback_to(self: Transaction, name: str) -> None:
        self.release(name)
        self.savepoint(name)

    patch.setattr(Transaction, "rollback_to", rollback_to)


def bells_at_once(patch: pytest.MonkeyPatch) -> None:
    """A bell rings when the statement ends, not when its transaction does."""
    insert = Backend.insert

    def ringing(self: Backend, *arguments: Any) -> list[Row]:
        rows = insert(self, *arguments)
        if self._transaction is not None:
            bells = self._transaction._levels[-1].bells
            self._cluster.publish([], list(bells))
            bells.clear()
        return rows

    patch.setattr(Backend, "insert", ringing)


def every_bell_rings(patch: pytest.MonkeyPatch) -> None:
    """Two equal bells of one transaction are two."""
    end_commit = Transaction.end_commit

    def ring(self: Transaction, bell: Any) -> None:
        bells: dict[Any, None] = self._levels[-1].bells
        bells[bell, len(bells)] = None

    def ended(self: Transaction) -> tuple[list[Row], list[Any]]:
        rows, bells = end_commit(self)
        return rows, [bell for bell, _ in bells]

    patch.setattr(Transaction, "ring", ring)
    patch.setattr(Transaction, "end_commit", ended)


def bell_draws_no_id(patch: pytest.MonkeyPatch) -> None:
    """A transaction that only rings draws no id."""
    patch.setattr(Transaction, "rings", False)


def gate_draws_no_id(patch: pytest.MonkeyPatch) -> None:
    """Taking the gate tells the next id and does not draw it."""

    def take(self: Answers, backend: Backend, _: Any) -> Any:
        return [row(self._cluster.xids.next if backend.try_gate() else None)]

    patch.setattr(Answers, "gate_take", take)


def locks_survive_session(patch: pytest.MonkeyPatch) -> None:
    """The locks of a session that ended are still held."""
    patch.setattr(AdvisoryLocks, "free", lambda *_: None)


def nobody_is_fenced(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint of an older epoch is written."""
    write = Cluster.write_checkpoint

    def forgiving(self: Cluster, backend: Backend, name: str, _: int, position: Any) -> Any:
        return write(self, backend, name, self.checkpoint(name).epoch, position)

    patch.setattr(Cluster, "write_checkpoint", forgiving)


def target_sees_all_below(patch: pytest.MonkeyPatch) -> None:
    """What was in progress at a snapshot is visible in it."""
    patch.setattr(View, "sees", lambda self, xid: xid < self.xmax)


def history_by_key(patch: pytest.MonkeyPatch) -> None:
    """The last rows are those of the greatest ids, also where an index gives the order of time."""
    newest = Table.newest
    patch.setattr(
        Table, "newest", lambda self, limit, txids, _: newest(self, limit, txids, lambda one: one.id)
    )


WRONG: list[Callable[[pytest.MonkeyPatch], None]] = [
    savepoints_in_progress,
    xmax_is_next,
    rolled_back_savepoint_runs_on,
    inner_savepoint_draws_alone,
    rows_carry_inner_xid,
    rollback_to_keeps_rows,
    bells_at_once,
    every_bell_rings,
    bell_draws_no_id,
    gate_draws_no_id,
    locks_survive_session,
    nobody_is_fenced,
    target_sees_all_below,
    history_by_key,
]


def no_id_comes_again(patch: pytest.MonkeyPatch) -> None:
    """Every id that was ever drawn is known after a crash."""
    state = Wal.state
    drawn = [0]
    draw = Xids.draw

    def counted(self: Xids, *, top: bool) -> int:
        drawn[0] = max(drawn[0], xid := draw(self, top=top))
        return xid

    def knowing(self: Wal, keep: int) -> State:
        found = state(self, keep)
        found.next_xid = max(found.next_xid, drawn[0] + 1)
        return found

    patch.setattr(Xids, "draw", counted)
    patch.setattr(Wal, "state", knowing)


def sequence_is_exact(patch: pytest.MonkeyPatch) -> None:
    """A sequence goes on where it stood, not ahead of it."""
    patch.setattr("tests.simulation.postgres.cluster.LOGGED_AHEAD", 0)


def every_commit_is_flushed(patch: pytest.MonkeyPatch) -> None:
    """A crash keeps everything that was visible."""
    log_commit = Transaction.log_commit

    def flushed(self: Transaction, *, synchronous: bool) -> None:
        log_commit(self, synchronous=synchronous)
        self._wal.flush()

    patch.setattr(Transaction, "log_commit", flushed)


def an_id_alone_is_flushed(patch: pytest.MonkeyPatch) -> None:
    """A synchronous commit waits for the disk also if it has written nothing."""
    log_commit = Transaction.log_commit

    def flushed(self: Transaction, *, synchronous: bool) -> None:
        self._wrote = True
        log_commit(self, synchronous=synchronous)

    patch.setattr(Transaction, "log_commit", flushed)


def savepoints_are_lost(patch: pytest.MonkeyPatch) -> None:
    """Recovery knows the rows of top levels only."""

    def committed(records: list[Record]) -> set[int]:
        return {record.xid for record in records if isinstance(record, Commit)}

    patch.setattr("tests.simulation.postgres.wal._committed", committed)


WRONG_AFTER_CRASH: list[Callable[[pytest.MonkeyPatch], None]] = [
    no_id_comes_again,
    sequence_is_exact,
    every_commit_is_flushed,
    an_id_alone_is_flushed,
    savepoints_are_lost,
]
