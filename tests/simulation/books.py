"""What each replica says of itself, held against its promises while the schedule runs.

    ahead of the socket    at most three pages and what the channels hold between the source and the socket
    unacknowledged         at most `max_unacked_bytes` and half of it
    lag                    what was committed before `SourceStatus.complete_at` is acknowledged
    rejections             none: every row can be sent
    rest                   in the end nothing is pending, and no replica has two sessions

Looks every `LOOK_S`; the ledger's own equation is asked of the oracle.
"""

from __future__ import annotations

from collections.abc import Hashable

import trio

from tests.simulation.oracle import Oracle
from tests.simulation.plan import Plan
from tests.simulation.process import Bridge, Run
from trio_bridge.listener.modes import MAX_PAGES_AHEAD

LOOK_S = 0.25

LINE_BYTES = 200
"""No line of the simulation, with the flag and the fields that the first of a message carries, is longer."""


class Books:
    """See the module.

    Args:
        plan: the settings.
        bridges: the replicas.
        oracle: judges their ledgers.

    Attributes:
        violations: sentences.
    """

    def __init__(self, plan: Plan, bridges: list[Bridge], oracle: Oracle) -> None:
        self.violations: list[str] = []
        self._plan = plan
        self._bridges = bridges
        self._oracle = oracle
        # When a row of the table that no pong covers was first seen there.
        self._seen_at: dict[int, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.look()
            await trio.sleep(LOOK_S)

    def look(self) -> None:
        """At all replicas, now."""
        now = trio.current_time()
        self._seen_at = {row.uid: self._seen_at.get(row.uid, now) for row in self._oracle.uncovered()}
        for bridge in self._bridges:
            if bridge.route is not None:
                self._look_at(bridge)

    def at_rest(self, *, sessions: int) -> None:
        """Nothing is under way any more; Postgres has so many sessions of the bridge."""
        # Who waits before the next attempt has none.
        if sessions > len(self._bridges):
            self.violations.append(f"{len(self._bridges)} replicas have {sessions} sessions")
        for bridge in self._bridges:
            if bridge.route is not None:
                books = bridge.route.ledger.statistics()
                if books.pending:
                    self._broken(bridge, f"{books.pending} rows are pending for ever")

    def _look_at(self, bridge: Bridge) -> None:
        route = bridge.route
        assert route is not None
        books = route.ledger.statistics()
        number, life = bridge.number, bridge.lives

        def of(owner: Hashable) -> bool:
            return isinstance(owner, Run) and (owner.replica, owner.life) == (number, life)

        self._oracle.check_books(
            seen=books.seen,
            acknowledged=books.acknowledged,
            others=sum(books.rejected.values()) + books.returned,
            pending=books.pending,
            of=of,
        )
        if books.rejected:
            self._broken(bridge, f"rejected {books.rejected}, and every row can be sent")
        complete_at = route.status.complete_at
        if complete_at is not None and self._seen_at and min(self._seen_at.values()) <= complete_at:
            self._broken(bridge, f"says that all is acknowledged up to {complete_at:.6f}, and it is not")
        waiting = sum(level.now for level in route.fillings().values())
        if waiting > MAX_PAGES_AHEAD:
            self._broken(bridge, f"{waiting} pages wait between Postgres and the socket")
        if route.vitals.unacknowledged_bytes.peak > 1.5 * self._plan.max_unacked_bytes + LINE_BYTES:
            self._broken(bridge, f"{route.vitals.unacknowledged_bytes.peak} bytes were unacknowledged")

    def _broken(self, bridge: Bridge, what: str) -> None:
        sentence = f"replica {bridge.number}: {what}"
        if sentence not in self.violations:
            self.violations.append(sentence)
