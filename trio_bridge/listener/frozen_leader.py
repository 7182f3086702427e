"""What a standby does about a leader that is frozen: over a Unix socket nobody else can.

A process that does not run any more (SIGSTOP, a paused container) keeps its connection, and with it the leader's lock
and the table's gate. Over TCP Postgres cuts it off (`trio_bridge.postgres.conninfo`). Over a Unix socket it does so
only while it waits for a statement: once the session is stuck in a write, because bells have filled the socket, none of
its timeouts ends it (measured: not in 25 s). So the standby looks at the leader's session, and ends one that has been
stuck in the same write for `PATIENCE_S`; both are of the same role, which may do that.

Runs in the standby's thread, between two attempts to get the lock. It never ends a session that has done anything since
the last look.
"""

from __future__ import annotations

from typing import Final

from psycopg import sql
from structlog.typing import FilteringBoundLogger

from trio_bridge.postgres.queries import LEADER_CLASS, statement
from trio_bridge.postgres.session import Session, StatementRefused

LOOK_S: Final = 0.5
"""Between two looks. A guess: seldom enough not to be seen in a load."""

PATIENCE_S: Final = 5.0
"""How long a session may be stuck in one write. As long as Postgres' own patience over TCP; a process that has to wait
for a processor comes to read much sooner."""


class FrozenLeader:
    """Watches the leader of one route.

    Args:
        session: the standby's.
        key: second key of the leader's lock.
        answer_s: longest silence of the server.
        log: bound to the route.
    """

    def __init__(self, session: Session, key: int, *, answer_s: float, log: FilteringBoundLogger) -> None:
        self._session = session
        self._key = str(key)
        self._answer_s = answer_s
        self._log = log
        self._look_at = 0.0
        self._stuck: tuple[str | None, ...] | None = None
        self._since = 0.0
        self._refused = False

    def look(self, now: float) -> None:
        """Look, if it is time to (`now`: monotonic seconds), and end the leader's session if it is frozen.

        Raises:
            ConnectionLost: as any statement.
        """
        if now < self._look_at:
            return
        self._look_at = now + LOOK_S
        leader_class = sql.Literal(LEADER_CLASS)
        found = self._session.query(
            statement("queries/frozen_leader", leader_class=leader_class),
            (self._key,),
            timeout_s=self._answer_s,
        )
        stuck = found[0] if found else None
        if stuck != self._stuck:
            self._stuck, self._since = stuck, now
        elif stuck is not None and now - self._since >= PATIENCE_S and not self._refused:
            self._end(stuck)

    def _end(self, stuck: tuple[str | None, ...]) -> None:
        about = {"pid": stuck[0], "stuck_s": PATIENCE_S}
        try:
            ended = self._session.query(
                statement("queries/frozen_leader_end"), stuck, timeout_s=self._answer_s
            )
        except StatementRefused as error:
            self._refused = True
            self._log.warning("frozen_leader_kept", reason=str(error), **about)
            return
        if ended:
            self._log.warning(
                "frozen_leader_ended", reason="it has taken nothing in and kept the route's lock", **about
            )
