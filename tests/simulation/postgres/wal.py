"""The log of everything that must outlive a crash, in the order in which it was written, and how far it is on disk.

A position in it is the number of records before it. A crash keeps a prefix: at least what is flushed, at most
everything. An id that no kept record names is drawn again. Recovery ends with a record of the next id, which is
durable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.simulation.postgres.checkpoints import CheckpointRow
from tests.simulation.postgres.rows import Row


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows that one statement wrote, under the id of its innermost savepoint."""

    xid: int
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Update:
    """A new version of a checkpoint row."""

    xid: int
    name: str
    row: CheckpointRow


@dataclass(frozen=True, slots=True)
class Sequence:
    """Ids up to `last` may have been handed out. Written ahead of time and, like nextval, outside of transactions."""

    last: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction, with the savepoints that it kept."""

    xid: int
    children: list[int]


@dataclass(frozen=True, slots=True)
class Abort:
    """A transaction, or a savepoint, with all that was released into it."""

    xid: int
    children: list[int]


@dataclass(frozen=True, slots=True)
class Recovered:
    """The checkpoint that ends a recovery."""

    next_xid: int


Record = Insert | Update | Sequence | Commit | Abort | Recovered


@dataclass(slots=True)
class State:
    """What a log says."""

    next_xid: int = 0
    sequence: int = 0
    rows: list[Row] = field(default_factory=list)
    checkpoints: dict[str, CheckpointRow] = field(default_factory=dict)


class Wal:
    """See the module.

    Attributes:
        flushed: how many records are on disk.
    """

    def __init__(self, next_xid: int) -> None:
        self._records: list[Record] = [Recovered(next_xid)]
        self.flushed = 1

    def append(self, record: Record) -> None:
        """Written, not yet flushed."""
        self._records.append(record)

    def flush(self) -> None:
        """Everything so far is on disk."""
        self.flushed = len(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def cut(self, keep: int) -> State:
        """Forget all but the first `keep` records and say what they amount to; they are durable now."""
        state = self.state(keep)
        del self._records[keep:]
        self.append(Recovered(state.next_xid))
        self.flush()
        return state

    def state(self, keep: int) -> State:
        """What the first `keep` records amount to."""
        records = self._records[:keep]
        committed = set(_committed(records))
        state = State()
        for record in records:
            match record:
                case Insert():
                    state.next_xid = max(state.next_xid, record.xid + 1)
                    if record.xid in committed:
                        state.rows += record.rows
                case Update():
                    state.next_xid = max(state.next_xid, record.xid + 1)
                    if record.xid in committed:
                        state.checkpoints[record.name] = record.row
                case Sequence():
                    state.sequence = record.last
                case Recovered():
                    state.next_xid = max(state.next_xid, record.next_xid)
                case Commit() | Abort():
                    state.next_xid = max(
                        state.next_xid, record.xid + 1, *(xid + 1 for xid in record.children)
                    )
        return state


def _committed(records: Iterable[Record]) -> Iterator[int]:
    for record in records:
        if isinstance(record, Commit):
            yield record.xid
            yield from record.children
