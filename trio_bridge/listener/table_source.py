"""The source of a table route: deltas, modes, gate, heartbeat and checkpoint, over one connection.

The thread's shell around two pure cores: `position.Position` (what has been delivered) and `modes.Pulse` (what to do
next). It asks the pulse, does what it says, reports what came of it, and remembers for each page the position that its
acknowledgement will stand for. *Owns* the connection; ends when drained (everything acknowledged and checkpointed),
aborted, or with a `BridgeError`. It never stops reading its socket and is never idle in a transaction.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Final

from psycopg import sql
from structlog.typing import FilteringBoundLogger

from trio_bridge.config.names import TableName
from trio_bridge.config.settings import PostgresSettings, RouteSettings
from trio_bridge.decoder.mapping import Mapping, map_table
from trio_bridge.handover import Stop
from trio_bridge.listener.modes import Act, Demand, Pulse
from trio_bridge.listener.probe import Probe
from trio_bridge.listener.share import Share
from trio_bridge.listener.source import (
    HEARTBEATS_TO_DEATH,
    OpenSession,
    idle_waits,
    run_session,
    unless_retrying,
    wait_leader,
)
from trio_bridge.listener.stage import Closed, Line, Opened
from trio_bridge.postgres.catalogue import Cluster, WatchedTable, gate_holder, read_cluster, read_table
from trio_bridge.postgres.checkpoint import Checkpoint
from trio_bridge.postgres.delta import DeltaReader
from trio_bridge.postgres.direct import open_direct
from trio_bridge.postgres.history import read_history
from trio_bridge.postgres.position import Position
from trio_bridge.postgres.queries import GATE_CLASS, compose, without_comments
from trio_bridge.postgres.session import Session, StatementRefused
from trio_bridge.records import Page

BELL_CHANNEL: Final = "influx_feed"
"""The channel that the trigger rings."""

LOCK_NOT_AVAILABLE: Final = "55P03"


class TableSource:
    """See the module.

    Args:
        settings: for deadlines; the address is in `attempts`.
        route: the table route.
        table: its table.
        attempts: connection strings in the order to try, from `conninfo.resolve`.
        interval_s: the sender's pace.
        line: to Trio.
        share: of this process.
        log: bound to the route.
        open_session: how a session is opened.
    """

    def __init__(
        self,
        settings: PostgresSettings,
        route: RouteSettings,
        table: TableName,
        *,
        attempts: Sequence[str],
        interval_s: float,
        line: Line,
        share: Share,
        log: FilteringBoundLogger,
        open_session: OpenSession = open_direct,
    ) -> None:
        self._settings = settings
        self._route = route
        self._table = table
        self._attempts = attempts
        self._interval_s = interval_s
        self._line = line
        self._share = share
        self._log = log
        self._open_session = open_session
        self._answer_s = HEARTBEATS_TO_DEATH * settings.heartbeat_s
        self._opening = partial(unless_retrying, line, log)

    def run(self) -> None:
        """Deliver until drained or aborted. Raises a `BridgeError` when it cannot go on."""
        run_session(
            self._attempts,
            self._line,
            open_session=self._open_session,
            timeout_s=self._settings.connect_timeout_s,
            deliver=self._deliver,
        )

    def _deliver(self, session: Session) -> None:
        patience_s = self._settings.connect_timeout_s
        cluster = read_cluster(session, timeout_s=patience_s)
        self._note_timeline(cluster)
        watched = read_table(session, self._table, timeout_s=patience_s)
        mapping = map_table(self._route, watched.shape)
        if not wait_leader(
            session,
            self._line,
            self._route.name,
            share=self._share,
            timeout_s=self._answer_s,
            log=self._log,
        ):
            return
        # LISTEN before the position is read: a bell in between is heard, a row before it is in the delta.
        session.query(f"LISTEN {BELL_CHANNEL}", timeout_s=patience_s)
        checkpoint, position = Checkpoint.take_over(session, self._route.name, cluster, timeout_s=patience_s)
        columns = mapping.columns
        reader = DeltaReader(self._table, watched.key, columns)
        for span, statement in reader.statements.items():
            session.prepare(span.value, statement, timeout_s=patience_s)
        may_ring = watched.rings and not cluster.prepares
        self._say_how(watched, prepares=cluster.prepares)
        pulse = Pulse(
            interval_s=self._interval_s,
            heartbeat_s=self._settings.heartbeat_s,
            may_ring=may_ring,
            now=time.monotonic(),
        )
        history = self._read_history(session, watched, mapping, position)
        self._line.status.phase = "running"
        self._opening(self._log.info)("running", position=str(position.snapshot), epoch=checkpoint.epoch)
        self._line.outlet.put(Opened(mapping, history))
        _Run(
            self._route.name,
            line=self._line,
            share=self._share,
            session=session,
            watched=watched,
            checkpoint=checkpoint,
            reader=reader,
            pulse=pulse,
            position=position,
            answer_s=self._answer_s,
            log=self._log,
        ).run()

    def _note_timeline(self, cluster: Cluster) -> None:
        status = self._line.status
        if status.timeline not in (None, cluster.timeline):
            self._log.warning(
                "timeline_changed",
                was=status.timeline,
                now=cluster.timeline,
                reason="a standby was promoted: what it had not received is gone, though it may have been shown",
            )
        status.timeline = cluster.timeline

    def _read_history(
        self, session: Session, watched: WatchedTable, mapping: Mapping, position: Position
    ) -> Page:
        """The rows that a panel shows before the first new one comes."""
        if not self._route.window_rows:
            return Page(0, (), (), time.monotonic())
        history = read_history(
            session,
            self._table,
            watched,
            columns=mapping.columns,
            time=mapping.time,
            position=position,
            limit=self._route.window_rows,
            timeout_s=self._settings.connect_timeout_s,
        )
        if history.left_out:
            self._opening(self._log.warning)(
                "history_left_out", reason=history.left_out, effect="panels fill up as rows come"
            )
        else:
            self._opening(self._log.info)("history", rows=len(history.rows), last_by=history.order)
        return Page(0, history.rows, history.keys, time.monotonic())

    def _say_how(self, watched: WatchedTable, *, prepares: bool) -> None:
        install = f"run `trio-bridge install --table '{self._table}'`"
        tell, warn = self._opening(self._log.info), self._opening(self._log.warning)
        if not watched.indexed:
            warn("no_index", table=str(self._table), remedy=install)
        if not watched.rings:
            warn("no_trigger", table=str(self._table), effect="polling only", remedy=install)
        elif prepares:
            tell("poll_only", reason="max_prepared_transactions > 0: NOTIFY would break PREPARE")


class _Run:
    """One run of the loop, from the moment this connection leads the route."""

    def __init__(
        self,
        name: str,
        *,
        line: Line,
        share: Share,
        session: Session,
        watched: WatchedTable,
        checkpoint: Checkpoint,
        reader: DeltaReader,
        pulse: Pulse,
        position: Position,
        answer_s: float,
        log: FilteringBoundLogger,
    ) -> None:
        self._name = name
        self._line = line
        self._share = share
        self._session = session
        self._watched = watched
        self._checkpoint = checkpoint
        self._reader = reader
        self._pulse = pulse
        self._position = position
        self._answer_s = answer_s
        self._log = log
        self._oid = str(watched.oid)
        self._positions: dict[int, Position] = {}
        self._said: set[str] = set()
        self._probe = Probe(
            session, BELL_CHANNEL, line.status, answer_s=answer_s, log=log, now=time.monotonic()
        )
        self._ask_at = share.asks_at(time.monotonic())
        self._rung_at: float | None = None
        # When the delta under way fixed what it will show; None: an earlier run did.
        self._began_at: float | None = None
        # For each finished delta: the page that its acknowledgement waits for, and when it began.
        self._saved_mark = 0
        self._finished: deque[tuple[int, float]] = deque()
        gate = {"gate_class": sql.Literal(GATE_CLASS)}
        self._take_gate = without_comments(compose("queries/gate_take", **gate))
        self._gate_holder = without_comments(compose("queries/gate_holder", **gate))
        self._free_gate = f"SELECT pg_advisory_unlock({GATE_CLASS}, {self._oid}::oid::int4)"

    def run(self) -> None:
        line, pulse, status = self._line, self._pulse, self._line.status
        draining = False
        mode_changes = 0
        while True:
            line.wake.arm()
            if line.wake.stop is not Stop.NO and not draining:
                draining = True
                status.phase = "draining"
                line.outlet.put(Closed())
            if status.flip:
                status.flip = False
                pulse.flip(time.monotonic())
            if bells := self._bells():
                pulse.rang(time.monotonic(), bells)
            feedback = line.feedback
            demand = Demand(feedback.ready_at, feedback.sent_mark, feedback.acked_mark)
            self._note_acknowledged(demand.acked_mark)
            decision = pulse.decide(time.monotonic(), demand, draining=draining)
            match decision.act:
                case Act.WAIT:
                    if not decision.heeds_sender:
                        line.wake.disarm()
                    self._session.wait(decision.until)
                    continue
                case Act.STOP:
                    return
                case Act.DELTA:
                    self._read_page()
                case Act.HEARTBEAT:
                    self._session.query("SELECT 1", timeout_s=self._answer_s)
                    pulse.heartbeat_done(time.monotonic())
                case Act.TAKE_GATE:
                    self._try_gate()
                case Act.FREE_GATE:
                    self._session.query(self._free_gate, timeout_s=self._answer_s)
                    pulse.gate_freed(time.monotonic())
                case Act.CHECKPOINT:
                    self._save(demand.acked_mark)
            status.statements += 1
            now = status.answered_at = time.monotonic()
            if now >= self._probe.due_at:
                self._probe.look(now)
                pulse.queue_looked_at(now, crowded=self._probe.crowded)
            if now >= self._ask_at and not draining:
                self._give_away(now)
            if pulse.mode_changes != mode_changes:
                self._log.debug("mode", mode=pulse.mode.value)
                status.mode = pulse.mode
                status.mode_changes += pulse.mode_changes - mode_changes
                mode_changes = pulse.mode_changes

    def _give_away(self, now: float) -> None:
        """If another replica is idle and it is this route's turn: end as for a stop, so that it can go on there."""
        self._ask_at = self._share.asks_at(now)
        if (
            self._share.may_give(now)
            and idle_waits(self._session, self._name, timeout_s=self._answer_s)
            and self._share.give(now)
        ):
            self._log.info("given_away", reason="another replica leads no route")
            self._line.wake.drain()

    def _read_page(self) -> None:
        position = self._position
        if position.target is None:
            self._began_at = time.monotonic()
        rung_at, self._rung_at = self._rung_at, None
        name, params = position.span.value, self._reader.params(position)
        try:
            results = self._session.run(name, params, timeout_s=self._answer_s)
            delta = self._reader.read(position, results)
        except StatementRefused as error:
            if error.sqlstate != LOCK_NOT_AVAILABLE:
                raise
            self._say_once(
                "table_locked", "somebody holds a lock on the table: its rows come when it is free"
            )
            self._pulse.deferred(time.monotonic())
            self._rung_at = rung_at
            return
        self._said.discard("table_locked")
        self._position = delta.position
        now = time.monotonic()
        self._pulse.delta_done(
            now, rows=len(delta.rows), more=delta.more, horizon=delta.horizon, bells=self._bells()
        )
        if delta.rows:
            mark = self._pulse.last_mark
            self._positions[mark] = delta.position
            self._line.outlet.put(Page(mark, delta.rows, delta.keys, now, rung_at))
        elif self._pulse.last_mark in self._positions:
            # Nothing new up to here: the last page's acknowledgement may stand for this much.
            self._positions[self._pulse.last_mark] = delta.position
        if delta.more:
            # Its further pages were announced by the same bell.
            self._rung_at = rung_at
        elif self._began_at is not None:
            mark = self._pulse.last_mark
            if self._finished and self._finished[-1][0] == mark:
                self._finished.pop()
            self._finished.append((mark, self._began_at))

    def _note_acknowledged(self, acked_mark: int) -> None:
        """How far delivery has come, for the metrics."""
        status = self._line.status
        while self._finished and self._finished[0][0] <= acked_mark:
            _, status.complete_at = self._finished.popleft()
        if acked_mark > self._saved_mark and status.unsaved_since is None:
            status.unsaved_since = time.monotonic()

    def _try_gate(self) -> None:
        ((fence,),) = self._session.query(self._take_gate, (self._oid,), timeout_s=self._answer_s)
        if fence is not None:
            self._said.discard("gate_held")
            self._pulse.gate_taken(time.monotonic(), int(fence))
            return
        pids = gate_holder(self._session, self._watched.oid, self._gate_holder, timeout_s=self._answer_s)
        self._say_once("gate_held", "another session holds this table's gate: polling meanwhile", pids=pids)
        self._pulse.gate_refused(time.monotonic())

    def _save(self, mark: int) -> None:
        try:
            self._checkpoint.write(self._session, self._positions[mark], timeout_s=self._answer_s)
        except StatementRefused as error:
            # Delivery goes on; what grows is only what a failure would repeat.
            self._say_once("checkpoint_not_written", str(error))
            self._pulse.not_saved(time.monotonic())
            return
        self._said.discard("checkpoint_not_written")
        self._positions = {later: position for later, position in self._positions.items() if later > mark}
        self._pulse.saved(time.monotonic(), mark)
        self._saved_mark = mark
        self._line.status.unsaved_since = None

    def _bells(self) -> int:
        """Bells for this table since the last look. Whoever rings without naming a table rings for all."""
        bells = sum(
            1
            for notification in self._session.notifications()
            if notification.channel == BELL_CHANNEL
            and notification.payload in (self._oid.encode(), b"*", b"")
        )
        if bells and self._rung_at is None:
            self._rung_at = time.monotonic()
        return bells

    def _say_once(self, event: str, reason: str, **details: str) -> None:
        if event not in self._said:
            self._said.add(event)
            self._log.warning(event, reason=reason, **details)
