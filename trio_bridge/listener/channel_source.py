"""The source of a channel route: notifications whose payload is the row. At most once.

What is sent while nobody listens is gone, so each start after the first is a gap, and so is everything that finds no
room while Grafana cannot take it: both are reported as `Lost`, never in silence. There is no position and no
checkpoint; the leader lock keeps replicas from sending twice. *Owns* the connection; ends when drained, aborted, or
with a `BridgeError`. It reads its socket whatever happens: a listener that stops would fill the server's queue.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from psycopg import sql
from structlog.typing import FilteringBoundLogger

from trio_bridge.config.settings import PostgresSettings, RouteSettings
from trio_bridge.decoder.mapping import map_channel
from trio_bridge.handover import Stop
from trio_bridge.listener.modes import MAX_PAGES_AHEAD, Mode
from trio_bridge.listener.probe import Probe
from trio_bridge.listener.share import Share
from trio_bridge.listener.source import (
    HEARTBEATS_TO_DEATH,
    OpenSession,
    run_session,
    unless_retrying,
    wait_leader,
)
from trio_bridge.listener.stage import Closed, Line, Lost, Opened
from trio_bridge.postgres.delta import PAGE_BYTES, PAGE_ROWS
from trio_bridge.postgres.direct import open_direct
from trio_bridge.postgres.session import Session
from trio_bridge.records import Page

MAX_HELD_BYTES: Final = 8 << 20
"""Payloads kept while the sender cannot take them; the oldest go first. A guess: some seconds of a busy channel."""


class ChannelSource:
    """See the module.

    Args:
        settings: for deadlines; the address is in `attempts`.
        route: the channel route.
        attempts: connection strings in the order to try, from `conninfo.resolve`.
        line: to Trio.
        share: of this process.
        log: bound to the route.
        open_session: how a session is opened.
    """

    def __init__(
        self,
        settings: PostgresSettings,
        route: RouteSettings,
        *,
        attempts: Sequence[str],
        line: Line,
        share: Share,
        log: FilteringBoundLogger,
        open_session: OpenSession = open_direct,
    ) -> None:
        self._settings = settings
        self._route = route
        self._attempts = attempts
        self._line = line
        self._share = share
        self._log = log
        self._open_session = open_session
        self._answer_s = HEARTBEATS_TO_DEATH * settings.heartbeat_s
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._mark = 0

    def run(self) -> None:
        """Deliver until drained or aborted. Raises a `BridgeError` when it cannot go on."""
        run_session(
            self._attempts,
            self._line,
            open_session=self._open_session,
            timeout_s=self._settings.connect_timeout_s,
            deliver=self._lead,
        )

    def _lead(self, session: Session) -> None:
        line = self._line
        mapping = map_channel(self._route)
        if not wait_leader(
            session, line, self._route.name, share=self._share, timeout_s=self._answer_s, log=self._log
        ):
            return
        channel = sql.Identifier(self._route.channel or "").as_string()
        session.query(f"LISTEN {channel}", timeout_s=self._answer_s)
        line.status.phase = "running"
        line.status.mode = Mode.NOTIFY
        line.status.answered_at = time.monotonic()
        unless_retrying(line, self._log, self._log.info)("running", channel=self._route.channel)
        line.outlet.put(Opened(mapping, Page(0, (), (), time.monotonic())))
        self._deliver(session)

    def _deliver(self, session: Session) -> None:
        line = self._line
        draining = False
        heard_at = time.monotonic()
        probe = Probe(
            session,
            self._route.channel or "",
            line.status,
            answer_s=self._answer_s,
            log=self._log,
            now=heard_at,
        )
        while True:
            line.wake.arm()
            if line.wake.stop is not Stop.NO and not draining:
                draining = True
                line.status.phase = "draining"
                session.query("UNLISTEN *", timeout_s=self._answer_s)
            self._take_in(session)
            while self._held and self._mark - line.feedback.sent_mark < MAX_PAGES_AHEAD:
                self._hand_on()
            if draining and not self._held:
                line.outlet.put(Closed())
                self._wait_acknowledged(session)
                return
            if not draining and time.monotonic() >= probe.due_at and probe.look(time.monotonic()):
                line.outlet.put(Lost())
            heartbeat_at = heard_at + self._settings.heartbeat_s
            if time.monotonic() >= heartbeat_at:
                session.query("SELECT 1", timeout_s=self._answer_s)
                line.status.statements += 1
                heard_at = line.status.answered_at = time.monotonic()
            else:
                session.wait(heartbeat_at)

    def _take_in(self, session: Session) -> None:
        channel = self._route.channel
        for notification in session.notifications():
            if notification.channel == channel:
                self._held.append(notification.payload)
                self._held_bytes += len(notification.payload)
        dropped = 0
        while self._held_bytes > MAX_HELD_BYTES:
            self._held_bytes -= len(self._held.popleft())
            dropped += 1
        if dropped:
            self._line.outlet.put(Lost(dropped))

    def _hand_on(self) -> None:
        rows: list[bytes] = []
        size = 0
        while self._held and len(rows) < PAGE_ROWS and size < PAGE_BYTES:
            payload = self._held.popleft()
            size += len(payload)
            rows.append(payload)
        self._held_bytes -= size
        self._mark += 1
        self._line.outlet.put(Page(self._mark, rows, [""] * len(rows), time.monotonic()))

    def _wait_acknowledged(self, session: Session) -> None:
        """Stay, so that the route ends in one piece: the lock is kept until Grafana has everything."""
        line = self._line
        while line.feedback.acked_mark < self._mark:
            session.query("SELECT 1", timeout_s=self._answer_s)
            line.wake.arm()
            if line.feedback.acked_mark < self._mark:
                session.wait(time.monotonic() + self._settings.heartbeat_s)
