"""The server without its network: one log, one table, one checkpoint table, and what dies with the process.

`xids`, `locks`, the backends and who listens live in memory; rows, checkpoints and the sequence are what the log says.
A crash keeps a prefix of the log, a failover a prefix that may be shorter than what was acknowledged. For the oracle,
which outlives both: `ever`, and the hooks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count

from tests.simulation.postgres.backend import Backend
from tests.simulation.postgres.checkpoint_table import CheckpointTable
from tests.simulation.postgres.checkpoints import CheckpointRow, Hook
from tests.simulation.postgres.faults import Down
from tests.simulation.postgres.locks import AdvisoryLocks
from tests.simulation.postgres.rows import Row, Table
from tests.simulation.postgres.transaction import Bell
from tests.simulation.postgres.wal import Sequence as SequenceRecord
from tests.simulation.postgres.wal import Wal
from tests.simulation.postgres.xids import View, Xids
from trio_bridge.listener.table_source import BELL_CHANNEL
from trio_bridge.postgres.queries import GATE_CLASS

LOGGED_AHEAD = 32
"""Ids that nextval may hand out between two records (PostgreSQL: ``sequence.c``, SEQ_LOG_VALS)."""

FIRST_XID = 3
"""The smallest that a transaction can have."""


class Cluster:
    """See the module.

    Args:
        next_xid: the first that is drawn.
        synchronous_commit: unless a transaction says otherwise.
        system_identifier: the same on a standby.
        prepares: ``max_prepared_transactions``.
        oid: of the table.

    Attributes:
        up: whether sessions can be had.
        timeline: counts failovers.
        ever: by `Row.uid`, every row that was ever committed and visible.
        trigger: whether the table's trigger is enabled.
        time_index: whether an index gives the table's rows in the order of their times.
        checkpoint_refusal: sqlstate of every checkpoint's UPDATE; None: none.
        on_take_over: told of every new epoch.
        on_write: told of every checkpoint that is written.
    """

    def __init__(
        self,
        *,
        next_xid: int = 1000,
        synchronous_commit: bool = True,
        system_identifier: int = 7_000_000_000_000_000_001,
        prepares: int = 0,
        oid: int = 16_400,
    ) -> None:
        self.oid = oid
        self.gate = (GATE_CLASS, oid)
        self.bell: Bell = (BELL_CHANNEL, str(oid).encode())
        self.synchronous_commit = synchronous_commit
        self.system_identifier = system_identifier
        self.prepares = prepares
        self.up = True
        self.timeline = 1
        self.trigger = True
        self.time_index = False
        self.checkpoint_refusal: str | None = None
        self.waiting: list[Callable[[], None]] = []
        self.on_take_over: list[Hook] = []
        self.on_write: list[Hook] = []
        self.ever: dict[int, Row] = {}
        self.backends: list[Backend] = []
        self.turns: deque[Backend] = deque()
        self.wal = Wal(next_xid)
        self.xids = Xids(next_xid)
        self.locks = AdvisoryLocks()
        self.table = Table()
        self.checkpoints = CheckpointTable(self)
        self._pids = count(101)
        self._uids = count(1)
        self._given = self._logged = 0
        self._floor = len(self.wal)
        self._stranger: Backend | None = None

    def add_route(self, name: str, *, earliest: bool = False) -> None:
        """Install a route: its first checkpoint is durable, and no failover goes back behind it."""
        start = View(FIRST_XID, FIRST_XID) if earliest else self.snapshot()
        row = CheckpointRow(self.system_identifier, str(start))
        installer = self.connect()
        self.checkpoints.store(installer, name, row)
        installer.end()
        self.wal.flush()
        self._floor = len(self.wal)

    def connect(self) -> Backend:
        """A session.

        Raises:
            Down: see there.
        """
        if not self.up:
            raise Down
        backend = Backend(self, next(self._pids))
        self.backends.append(backend)
        return backend

    def snapshot(self) -> View:
        """``pg_current_snapshot()`` of a session that has drawn no id."""
        return self.xids.view()

    def committed(self) -> list[Row]:
        """What is in the table now, by txid and id."""
        return list(self.table)

    def checkpoint(self, name: str) -> CheckpointRow:
        """As committed and visible."""
        return self.checkpoints.rows[name]

    def take_over(self, backend: Backend, name: str) -> CheckpointRow | None:
        """The UPDATE that begins an epoch; None: there is no such route."""
        return self.checkpoints.update(
            backend, name, lambda old: old._replace(epoch=old.epoch + 1), self.on_take_over
        )

    def write_checkpoint(
        self,
        backend: Backend,
        name: str,
        epoch: int,
        position: tuple[str, str | None, int | None, tuple[str, ...] | None],
    ) -> CheckpointRow | None:
        """The UPDATE that advances it; None: somebody else leads now, or there is no such route."""
        snapshot, target, after_txid, after_key = position

        def advance(old: CheckpointRow) -> CheckpointRow | None:
            if old.epoch != epoch:
                return None
            return old._replace(snapshot=snapshot, target=target, after_txid=after_txid, after_key=after_key)

        return self.checkpoints.update(backend, name, advance, self.on_write)

    def lock_table(self) -> None:
        """A stranger's ACCESS EXCLUSIVE, for which it draws an id: whoever wants the table now waits, or is refused."""
        self._stranger = self.connect()
        self._stranger.begin()
        self._stranger.draw()
        self._stranger.on_end = self._go_on

    @property
    def table_locked(self) -> bool:
        """Whether the stranger is there."""
        return self._stranger is not None and not self._stranger.ended

    def unlock_table(self) -> None:
        """The stranger leaves, if no fault was quicker, and those who waited go on."""
        if self._stranger is not None:
            self._stranger.end()

    @property
    def crash_range(self) -> tuple[int, int]:
        """Least and most records that a crash may keep now."""
        return self.wal.flushed, len(self.wal)

    def crash(self, keep: int) -> None:
        """Every process of the server dies; the first `keep` records survive."""
        low, high = self.crash_range
        assert low <= keep <= high
        self._fall(keep)

    @property
    def failover_range(self) -> tuple[int, int]:
        """Least and most records that a standby may have received now."""
        return self._floor, self.wal.flushed

    def failover(self, keep: int) -> None:
        """The server is lost; a standby with its first `keep` records will take its place."""
        low, high = self.failover_range
        assert low <= keep <= high
        self.timeline += 1
        self._fall(keep)
        self._floor = len(self.wal)

    def stop(self) -> None:
        """Sessions are ended, everything is written: ``pg_ctl stop -m fast``."""
        self.up = False
        for backend in list(self.backends):
            backend.end("FATAL: terminating connection due to administrator command (57P01)")
        self._fall(len(self.wal))

    def start(self) -> None:
        """After `crash`, `failover` or `stop`."""
        self.up = True

    def flush(self) -> None:
        """The WAL writer has caught up."""
        self.wal.flush()

    def publish(self, rows: Sequence[Row], bells: Sequence[Bell]) -> None:
        """A transaction has become visible."""
        self.table.add(rows)
        self.ever.update((row.uid, row) for row in rows)
        for bell in bells:
            for backend in self.backends:
                if bell[0] in backend.listening:
                    backend.hear(bell)

    def forget(self, backend: Backend) -> None:
        """Its session is gone."""
        self.backends.remove(backend)

    def next_uid(self) -> int:
        """Of a new row."""
        return next(self._uids)

    def next_id(self) -> int:
        """``nextval`` of the table's sequence."""
        if self._given == self._logged:
            self._logged = self._given + 1 + LOGGED_AHEAD
            self.wal.append(SequenceRecord(self._logged))
        self._given += 1
        return self._given

    def _go_on(self, _: str) -> None:
        waiting, self.waiting = self.waiting, []
        for go_on in waiting:
            go_on()

    def _fall(self, keep: int) -> None:
        self.up = False
        self.turns.clear()
        self.waiting.clear()
        for backend in list(self.backends):
            backend.vanish("server closed the connection unexpectedly")
        state = self.wal.cut(keep)
        self.xids = Xids(state.next_xid)
        self.locks = AdvisoryLocks()
        self.table = Table()
        self.table.add(state.rows)
        self.ever.update((row.uid, row) for row in state.rows)
        self.checkpoints.rows = state.checkpoints
        self._given = self._logged = state.sequence
