"""Looks, every few seconds, at what does not show in the rows: our LISTEN, the notification queue, old transactions.

Runs in the listener's thread on its one connection, between two other statements. A LISTEN that is gone while the
session lives (a pooler's ``DISCARD ALL``) is said again: without bells rows come up to a heartbeat late, never not at
all. A queue that fills, because some session listens and does not read, is logged once with the pids of the sessions
that can be the reason; what to do about it is the source's. The rest is only noted in the status, for whoever reads the
metrics.
"""

from __future__ import annotations

from typing import Final

from psycopg import sql
from structlog.typing import FilteringBoundLogger

from trio_bridge.listener.stage import SourceStatus
from trio_bridge.postgres.queries import statement
from trio_bridge.postgres.session import Session

PROBE_INTERVAL_S: Final = 10.0
"""Between two looks. A guess: often enough for an alarm, too seldom to be seen in a load."""

CROWDED: Final = 0.1
"""How full a queue is that fills up. A guess: one that is read stays below a thousandth, and the usual 8 GB leave
minutes from here until commits fail."""


class Probe:
    """The look of one run.

    Args:
        session: the source's.
        channel: what we LISTEN to.
        status: what was found is noted there.
        answer_s: longest silence of the server.
        log: bound to the route.
        now: monotonic seconds; the first look is due.

    Attributes:
        due_at: when to look next, monotonic seconds.
        crowded: whether the queue was filling up at the last look.
    """

    def __init__(
        self,
        session: Session,
        channel: str,
        status: SourceStatus,
        *,
        answer_s: float,
        log: FilteringBoundLogger,
        now: float,
    ) -> None:
        self.due_at = now
        self.crowded = False
        self._session = session
        self._channel = channel
        self._status = status
        self._answer_s = answer_s
        self._log = log
        self._oldest: str | None = None

    def look(self, now: float) -> bool:
        """Ask, note, and LISTEN again if need be; whether it was.

        Raises:
            ConnectionLost: as any statement.
        """
        self.due_at = now + PROBE_INTERVAL_S
        status = self._status
        ((usage, listening, oldest),) = self._session.query(
            statement("queries/probe"), (self._channel,), timeout_s=self._answer_s
        )
        self._note_queue(float(usage or 0))
        if oldest != self._oldest:
            self._oldest = oldest
            status.held_since = None if oldest is None else now
        if listening == "t":
            return False
        channel = sql.Identifier(self._channel).as_string()
        self._session.query(f"LISTEN {channel}", timeout_s=self._answer_s)
        status.relistened += 1
        self._log.warning(
            "listening_again",
            channel=self._channel,
            reason="the session had lost its LISTEN: is a connection pooler in between?",
        )
        return True

    def _note_queue(self, usage: float) -> None:
        self._status.queue_usage = usage
        was_crowded, self.crowded = self.crowded, usage >= CROWDED
        if self.crowded and not was_crowded:
            ((pids,),) = self._session.query(statement("queries/queue_holders"), timeout_s=self._answer_s)
            self._log.warning(
                "queue_fills",
                usage=round(usage, 3),
                pids=pids or "unknown",
                reason="a session listens and does not read: once the notification queue is full, every commit that "
                "notifies fails. End that session with pg_terminate_backend",
            )
        elif was_crowded and not self.crowded:
            self._log.info("queue_empties", usage=round(usage, 3))
