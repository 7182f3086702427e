"""The judge: what was committed against what Grafana processed, and every checkpoint against both, when it moves.

Listens to the two models and to nothing of the bridge, with which it shares no code: it reads snapshots' texts, times
and values by itself (`reading`). A promise that is broken becomes a `Violation`; nothing is raised, because whoever
tells the oracle is in the middle of something. It knows these promises:

    lost                a row of the table that no message delivered                                  (asked at the end)
    phantom             something delivered that was not committed at that moment
    altered             a row delivered with another time or value
    unparsable          a message that Grafana drops in silence
    early               a keyframe shows a row before a message delivered it
    wiped               a message without the keyframe's flag empties what viewers see
    twice in a run      a run of a route delivers a row again
    repeated            a run delivers a row that the checkpoint it took over had covered
    ahead               a checkpoint covers a row of the table that no pong covers
    back                a checkpoint covers less than the one before
    unfenced            somebody writes a checkpoint whom another has replaced
    two leaders         a run takes a route over whose leader's session lives
    undrained           a run that ended well leaves rows that it delivered outside of the checkpoint (asked then)
    unsaved             bridges that ended well leave delivered rows outside of the checkpoint        (asked then)
    books               the bridge counts more acknowledged rows than pongs cover, or loses count     (asked any time)
    panel               a viewer does not see the last rows                                           (asked when quiet)

Rows that the first checkpoint covers are nobody's business: they were there before the bridge.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import trio

from tests.simulation.live import Delivery
from tests.simulation.live import Row as Shown
from tests.simulation.postgres import CheckpointChange, Cluster, Row
from tests.simulation.reading import Place, as_line


class Violation(NamedTuple):
    """A promise that was broken.

    Attributes:
        at: virtual seconds.
        promise: which; see the module.
        detail: by what.
    """

    at: float
    promise: str
    detail: str


@dataclass(slots=True)
class _Run:
    place: Place
    delivered: set[int] = field(default_factory=set)


class Oracle:
    """See the module.

    Args:
        cluster: with the route installed, before anybody took it over.
        route: its name.
        owner_of: whose session of Postgres a pid is, in the words of `LiveModel.dial`.

    Attributes:
        violations: in their order; what is found again and again is told once.
        repeated: deliveries beyond a row's first.
    """

    def __init__(self, cluster: Cluster, route: str, owner_of: Callable[[int], Hashable]) -> None:
        self.violations: list[Violation] = []
        self.repeated = 0
        self._told: set[tuple[str, str]] = set()
        self._cluster = cluster
        self._route = route
        self._owner_of = owner_of
        self._start = Place.read(cluster.checkpoint(route))
        self._lines: dict[Shown, Row] = {}
        self._learned = 0
        self._keys: set[str] = set()
        # Committed, and not covered by a pong.
        self._pending: dict[int, Row] = {}
        self._delivered: set[int] = set()
        self._runs: dict[Hashable, _Run] = {}
        self._leader: int | None = None
        self._owners: dict[int, Hashable] = {}
        self._flags: dict[int, str] = {}
        self._unanswered: dict[int, deque[tuple[int, list[int]]]] = {}
        self._answered: Counter[Hashable] = Counter()
        cluster.on_take_over.append(self._took_over)
        cluster.on_write.append(self._wrote)

    # What Grafana tells (`tests.simulation.live.Observer`).

    def connected(self, connection: int, owner: Hashable) -> None:
        """A push socket is open."""
        self._owners[connection] = owner
        self._unanswered[connection] = deque()

    def processed(self, delivery: Delivery) -> None:
        """A message has been published, or has vanished."""
        self._learn()
        if delivery.unparsable is not None:
            self._broken("unparsable", repr(delivery.unparsable[:300]))
        run = self._runs.get(delivery.owner)
        if run is None:
            self._broken("repeated", f"{delivery.owner} delivers without having taken the route over")
            return
        if self._flags.get(delivery.connection) and not delivery.flag and delivery.rows:
            self._broken("wiped", f"{delivery.owner}, message {delivery.sequence}")
        self._flags[delivery.connection] = delivery.flag
        uids: list[int] = []
        for line in delivery.rows:
            row = self._lines.get(line)
            if row is None:
                self._broken("altered" if line.key in self._keys else "phantom", str(line))
            elif delivery.keyframe:
                if row.uid not in self._delivered and not self._start.covers(row):
                    self._broken("early", str(row))
            else:
                self._deliver(row, run, delivery.owner)
                uids.append(row.uid)
        self._unanswered[delivery.connection].append((delivery.sequence, uids))

    def ponged(self, connection: int, sequence: int) -> None:
        """Everything up to a message is acknowledged."""
        unanswered = self._unanswered[connection]
        while unanswered and unanswered[0][0] <= sequence:
            _, uids = unanswered.popleft()
            self._answered[self._owners[connection]] += len(uids)
            for uid in uids:
                self._pending.pop(uid, None)

    # What is asked.

    def lost(self) -> list[Row]:
        """Rows of the table that nobody has delivered: in the end there must be none."""
        self._learn()
        return [
            row
            for row in self._cluster.committed()
            if row.uid not in self._delivered and not self._start.covers(row)
        ]

    def uncovered(self) -> list[Row]:
        """Rows of the table that no pong covers yet."""
        self._learn()
        return [row for row in self._pending.values() if self._in_table(row)]

    def check_lost(self) -> None:
        """In the end."""
        if lost := self.lost():
            self._broken("lost", f"{len(lost)} rows, the first is {lost[0]}")

    def check_drained(self, owner: Hashable) -> None:
        """The run `owner` has ended well, just now."""
        run = self._runs.get(owner)
        if run is not None:
            self._check_saved("undrained", run.delivered)

    def check_saved(self) -> None:
        """Everybody has ended well."""
        self._check_saved("unsaved", self._delivered)

    def check_books(
        self, *, seen: int, acknowledged: int, others: int, pending: int, of: Callable[[Hashable], bool]
    ) -> None:
        """A ledger's counts at any moment.

        Args:
            seen: rows.
            acknowledged: rows.
            others: rejected and returned rows.
            pending: rows.
            of: whether a run is one of this ledger's.
        """
        proven = sum(rows for owner, rows in self._answered.items() if of(owner))
        if acknowledged > proven:
            self._broken("books", f"{acknowledged} rows acknowledged, pongs cover {proven}")
        if pending < 0 or seen != acknowledged + others + pending:
            self._broken("books", f"{seen} seen is not {acknowledged} + {others} + {pending}")

    def check_panel(self, shown: Sequence[Shown], most: int, *, exact: bool = True) -> None:
        """What a viewer sees after a keyframe, when everything has come to rest: the last `most` rows, no others.

        Args:
            shown: what it sees. Of rows with equal times any may be the last.
            most: rows of the window.
            exact: False: so many rows of the table, whichever.
        """
        self._learn()
        table = {line: row for line, row in self._lines.items() if self._in_table(row)}
        expected = sorted(line.time_ns for line in table)[-most:]
        times = sorted(line.time_ns for line in shown)
        if len(times) != len(expected) or len(set(shown)) != len(times):
            self._broken("panel", f"{len(times)} rows instead of {len(expected)}")
        elif exact and times != expected:
            self._broken("panel", f"{len(times)} rows of other times than the table's last")
        elif strangers := [line for line in shown if line not in table]:
            self._broken("panel", f"{strangers[0]} is not in the table")

    # What Postgres tells.

    def _took_over(self, change: CheckpointChange) -> None:
        if change.name != self._route:
            return
        if self._leader != change.pid and any(
            backend.pid == self._leader for backend in self._cluster.backends
        ):
            self._broken("two leaders", f"{self._owner_of(change.pid)} while session {self._leader} lives")
        self._leader = change.pid
        self._runs[self._owner_of(change.pid)] = _Run(Place.read(change.new))

    def _wrote(self, change: CheckpointChange) -> None:
        if change.name != self._route:
            return
        self._learn()
        before, now = Place.read(change.old), Place.read(change.new)
        if change.pid != self._leader:
            self._broken("unfenced", f"{self._owner_of(change.pid)}, replaced by session {self._leader}")
        if not now.follows(before):
            self._broken("back", f"from {change.old} to {change.new}")
        ahead = [row for row in self._pending.values() if now.covers(row) and self._in_table(row)]
        if ahead:
            where = "processed, not answered" if ahead[0].uid in self._delivered else "not processed"
            self._broken("ahead", f"{len(ahead)} rows, the first is {ahead[0]}, {where}")
            # Said once.
            for row in ahead:
                del self._pending[row.uid]

    # How it judges.

    def _learn(self) -> None:
        """Take in what was committed since the last look."""
        ever = self._cluster.ever
        new, self._learned = len(ever) - self._learned, len(ever)
        for row in islice(reversed(ever.values()), new):
            line = as_line(row)
            self._lines[line] = row
            self._keys.add(line.key)
            if not self._start.covers(row):
                self._pending[row.uid] = row

    def _deliver(self, row: Row, run: _Run, owner: Hashable) -> None:
        if row.uid in run.delivered:
            self._broken("twice in a run", f"{owner}: {row}")
        elif run.place.covers(row):
            self._broken("repeated", f"{owner}: {row} is covered by {run.place}")
        self.repeated += row.uid in self._delivered
        run.delivered.add(row.uid)
        self._delivered.add(row.uid)

    def _check_saved(self, promise: str, uids: set[int]) -> None:
        place = Place.read(self._cluster.checkpoint(self._route))
        left = [row for row in self._cluster.committed() if row.uid in uids and not place.covers(row)]
        if left:
            self._broken(promise, f"{len(left)} rows, the first is {left[0]}")

    def _in_table(self, row: Row) -> bool:
        return row in self._cluster.table.of(row.txid)

    def _broken(self, promise: str, detail: str) -> None:
        if (promise, detail) not in self._told:
            self._told.add((promise, detail))
            self.violations.append(Violation(trio.current_time(), promise, detail))
