"""The source of a replay: pages of a time range to the decoder, as fast as the sender takes them, or slower.

Runs in the listener's thread, in the place of a table route's source, and speaks to Trio through the same `Line`.
*Owns* the connection. Ends when every page is acknowledged, or, told to drain, when those that were handed on are; or
with a `BridgeError`. It holds no lock, writes nothing and never tries again.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from structlog.typing import FilteringBoundLogger

from trio_bridge.config.names import TableName
from trio_bridge.config.settings import PostgresSettings, RouteSettings
from trio_bridge.decoder.mapping import map_table
from trio_bridge.handover import Stop
from trio_bridge.listener.source import connect
from trio_bridge.listener.stage import Closed, Line, Opened
from trio_bridge.postgres.catalogue import read_table
from trio_bridge.postgres.session import Aborted, Session
from trio_bridge.records import Page
from trio_bridge.replay.pages import PageReader, Place, Span

PAGES_AHEAD: Final = 3
"""Pages that may wait for the sender: one is encoded, one waits, one is read meanwhile. As the delta's."""

PAGES_PER_S: Final = 10
"""With a limit of rows a second: in how many pages they come. As often as Grafana draws."""


class ReplaySource:
    """See the module.

    Args:
        settings: for deadlines; the address is in `attempts`.
        route: with the measurement that the rows are sent to.
        table: its table.
        span: which rows.
        rate: most rows a second; None: as many as Grafana takes.
        attempts: connection strings in the order to try, from `conninfo.resolve`.
        line: to Trio.
        log: for what the operator should know.

    Attributes:
        total: rows that there were to send when it began; None: not counted.
    """

    def __init__(
        self,
        settings: PostgresSettings,
        route: RouteSettings,
        table: TableName,
        span: Span,
        *,
        rate: int | None,
        attempts: Sequence[str],
        line: Line,
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._route = route
        self._table = table
        self._span = span
        self._rate = rate
        self._attempts = attempts
        self._line = line
        self._log = log
        self.total: int | None = None
        self._place = span.after
        self._pages: deque[tuple[int, Place]] = deque()
        self._done = False

    def finished(self) -> bool:
        """Whether every row of the range was read and every page acknowledged; once `run` has ended."""
        self._forget_acknowledged()
        return self._done and not self._pages

    def place(self) -> Place | None:
        """Everything up to here is acknowledged; None: nothing is. Once `run` has ended."""
        self._forget_acknowledged()
        return self._place

    def run(self) -> None:
        """Read until the end of the range or until told to stop."""
        try:
            session = connect(self._attempts, self._line, timeout_s=self._settings.connect_timeout_s)
            try:
                self._replay(session)
            finally:
                session.close()
        except Aborted:
            pass
        finally:
            self._line.outlet.put(Closed())

    def _replay(self, session: Session) -> None:
        patience_s = self._settings.connect_timeout_s
        # The session's own would end it while a slow rate makes us wait. It holds nothing that others could miss.
        session.query("SET idle_session_timeout = 0", timeout_s=patience_s)
        watched = read_table(session, self._table, timeout_s=patience_s)
        mapping = map_table(self._route, watched.shape)
        most_rows = max(1, self._rate // PAGES_PER_S) if self._rate else 1 << 30
        reader = PageReader(
            session, self._table, watched, mapping, self._span, most_rows=most_rows, timeout_s=patience_s
        )
        if not reader.by_time:
            self._log.warning(
                "slow",
                reason=f"no index of {self._table} begins with {mapping.time}: Postgres reads the whole table, once, "
                "and the rows come in the order of the key",
            )
        self.total = reader.count(self._span.after, timeout_s=patience_s)
        self._line.outlet.put(Opened(mapping, Page(0, (), (), time.monotonic())))
        mark = self._hand_on(session, reader)
        self._wait(session, lambda: self._line.feedback.acked_mark >= mark)

    def _hand_on(self, session: Session, reader: PageReader) -> int:
        """Read and hand on pages; the mark of the last one."""
        line = self._line
        mark, place, next_at = 0, self._span.after, time.monotonic()

        def may_read() -> bool:
            return _draining(line) or (
                mark - line.feedback.sent_mark < PAGES_AHEAD and time.monotonic() >= next_at
            )

        while not self._done:
            self._wait(session, may_read, at=next_at)
            self._forget_acknowledged()
            if _draining(line):
                break
            found = reader.read(place)
            self._done = not found.more
            if found.place is not None:
                mark, place = mark + 1, found.place
                self._pages.append((mark, place))
                line.outlet.put(Page(mark, found.rows, found.keys, time.monotonic()))
            if self._rate:
                next_at = max(next_at, time.monotonic()) + len(found.rows) / self._rate
        return mark

    def _wait(self, session: Session, fact: Callable[[], bool], *, at: float = -math.inf) -> None:
        """Until `fact` holds; looks whenever the sender rings, and at the monotonic second `at`.

        Raises:
            Aborted: told to.
            ConnectionLost: Postgres is gone.
        """
        wake = self._line.wake
        while True:
            wake.arm()
            if fact():
                return
            session.wait(at if at > time.monotonic() else math.inf)

    def _forget_acknowledged(self) -> None:
        while self._pages and self._pages[0][0] <= self._line.feedback.acked_mark:
            _, self._place = self._pages.popleft()


def _draining(line: Line) -> bool:
    return line.wake.stop is not Stop.NO
