"""A world for a `Pulse` on a clock of its own: writers, a gate, a table, a sender, and the rules it must keep.

`World.run` plays the listener's loop: it asks the pulse, does what it says to a model of Postgres, reports what came
of it and lets the time pass. Before each act it checks the pulse against rules that are told here once more, from
what the world itself has seen; a broken rule is an AssertionError at the moment it is broken. No thread, no sleep.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from trio_bridge.listener.modes import Act, Decision, Demand, Mode, Pulse

ACK_S = 0.005
BELL_S = 0.000_2
DECODE_S = 0.001
LEGAL = {
    (Mode.POLL, Mode.ARMING),
    (Mode.ARMING, Mode.NOTIFY),
    (Mode.ARMING, Mode.POLL),
    (Mode.NOTIFY, Mode.POLL),
}
STATEMENTS = {Act.DELTA, Act.HEARTBEAT, Act.TAKE_GATE, Act.FREE_GATE, Act.CHECKPOINT}


@dataclass
class World:
    """See the module.

    Attributes:
        interval_s: the sender's pace.
        statement_s: how long Postgres takes for each statement.
        acts: every statement with the second in which it was sent.
        delays: how late each row was read, seconds after its commit.
    """

    interval_s: float = 0.1
    heartbeat_s: float = 0.5
    may_ring: bool = True
    statement_s: float = 0.000_3
    start: float = 1_000.0
    page_rows: int = 4
    # What a test may switch while the world runs.
    trigger_on: bool = True
    gate_held_by_another: bool = False
    checkpoint_fails: bool = False
    table_locked: bool = False
    draining: bool = False
    # What happened.
    acts: list[tuple[float, Act]] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    moves: list[tuple[float, Mode, Mode]] = field(default_factory=list)
    stopped: bool = False
    bells_rung: int = 0

    def __post_init__(self) -> None:
        self.now = self.start
        self.pulse = Pulse(
            interval_s=self.interval_s,
            heartbeat_s=self.heartbeat_s,
            may_ring=self.may_ring,
            now=self.now,
        )
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._woken = False
        # Whether news of the sender end the wait.
        self._heeds = True
        self._bells = 0
        self._mode = Mode.POLL
        self._moved_at = self.now
        # Postgres.
        self.gate_ours = False
        self._next_xid = 100
        self._running: set[int] = set()
        self._unread: list[float] = []
        self._target: list[float] = []
        self._target_horizon = 0
        # The pages and the sender.
        self.pages = self.sent = self.acked = self.saved = 0
        self._in_outbox = 0
        self._sizes: dict[int, int] = {}
        self._blocked = False
        self._may_send_at = self.now
        # What the rules need to remember.
        self._more = False
        self._unheard = False
        self._statement_at = -math.inf
        self._delta_at = -math.inf
        self._armed_since_delta = False
        self._deltas: deque[tuple[float, bool]] = deque()
        self._written_at = -math.inf
        self._write_failed = False
        self._refused_at = -math.inf
        self._flip_wanted = False
        self._flipped = False
        self._crowded = False
        self._looks: deque[bool] = deque()
        self._heard: deque[float] = deque()

    # What a test may cause, at a time of its choice.

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        """Do `act` so many seconds after the start."""
        heapq.heappush(self._events, (self.start + seconds, next(self._numbers), act))

    def insert(self, rows: int = 1, lasts_s: float = 0.0) -> None:
        """A transaction inserts now and commits after `lasts_s`; the gate is looked at now."""
        xid = self._next_xid
        self._next_xid += 1
        self._running.add(xid)
        rings = self.gate_ours and self.trigger_on
        if lasts_s:
            self.at(self.now + lasts_s - self.start, lambda: self._commit(xid, rows, rings=rings))
        else:
            self._commit(xid, rows, rings=rings)

    def ring(self, bells: int = 1) -> None:
        """Notifications arrive."""
        self._bells += bells
        self.bells_rung += bells
        self._woken = True

    def crowd(self, crowded: bool) -> None:
        """The next look at the notification queue says that it fills up, or does so no more."""
        self._looks.append(crowded)
        self._woken = True

    def block_sender(self) -> None:
        """Grafana takes nothing in and acknowledges nothing."""
        self._blocked = True
        self._woken = True

    def free_sender(self) -> None:
        """Grafana goes on."""
        if self._blocked:
            self._blocked = False
            self._send_next()

    def flip(self) -> None:
        """What the listener does when a test asks for the other mode."""
        self._flip_wanted = True
        self._woken = True

    # What a test may read.

    def is_in(self, mode: Mode) -> bool:
        """Whether that is the pulse's mode now."""
        return self.pulse.mode is mode

    @property
    def unread(self) -> int:
        """Committed rows that no delta has brought."""
        return len(self._unread) + len(self._target)

    def count(self, *acts: Act, since: float = 0.0) -> Counter[Act]:
        """How often each act was done, from `since` seconds after the start on."""
        return Counter(act for at, act in self.acts if at >= self.start + since and (not acts or act in acts))

    # The listener's loop.

    def run(self, seconds: float) -> None:
        """Until so many seconds after the start, or the pulse says stop."""
        end = self.start + seconds
        while self.now < end and not self.stopped:
            self._happen(self.now)
            self._woken = False
            if self._flip_wanted:
                self._flip()
            if self._bells:
                self._hear(self._bells)
            if self._looks:
                self._crowded = self._looks.popleft()
                self.pulse.queue_looked_at(self.now, crowded=self._crowded)
                self._note_mode()
            decision = self.pulse.decide(self.now, self._demand(), draining=self.draining)
            self._note_mode()
            self._check(decision)
            if decision.act is Act.WAIT:
                self._heeds = decision.heeds_sender
                self._wait(min(end, decision.until))
            elif decision.act is Act.STOP:
                self.stopped = True
            else:
                self._do(decision.act)
        self._happen(self.now)

    def _wait(self, until: float) -> None:
        while not self._woken and self._events and self._events[0][0] <= until:
            self._happen(max(self.now, self._events[0][0]))
        if not self._woken:
            self.now = until

    def _happen(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            at, _, act = heapq.heappop(self._events)
            self.now = max(self.now, at)
            act()
        self.now = max(self.now, until)

    def _flip(self) -> None:
        self._flip_wanted = False
        self._flipped = self.pulse.mode is Mode.POLL
        self.pulse.flip(self.now)
        self._note_mode()
        self._heard.clear()

    def _hear(self, bells: int) -> None:
        self._bells = 0
        self._unheard = True
        self._heard += [self.now] * min(bells, 1_000)
        self.pulse.rang(self.now, bells)
        self._note_mode()

    def _do(self, act: Act) -> None:
        self.acts.append((self.now, act))
        if act is Act.DELTA:
            self._read_page()
        else:
            # The lock, the id and the write are made at the server's end of the statement's way.
            took = act is Act.TAKE_GATE and not self.gate_held_by_another
            if took or act is Act.FREE_GATE:
                self.gate_ours = took
            fence = self._next_xid
            self._next_xid += took
            mark, fails = self.acked, self.checkpoint_fails
            self._happen(self.now + self.statement_s)
            match act:
                case Act.HEARTBEAT:
                    self.pulse.heartbeat_done(self.now)
                case Act.FREE_GATE:
                    self.pulse.gate_freed(self.now)
                case Act.TAKE_GATE if took:
                    self.pulse.gate_taken(self.now, fence)
                    self._armed_since_delta = True
                    self._flipped = False
                case Act.TAKE_GATE:
                    self.pulse.gate_refused(self.now)
                    self._refused_at = self.now
                case Act.CHECKPOINT:
                    self._written_at, self._write_failed = self.now, fails
                    if fails:
                        self.pulse.not_saved(self.now)
                    else:
                        self.saved = mark
                        self.pulse.saved(self.now, mark)
        self._statement_at = self.now
        self._note_mode()

    def _read_page(self) -> None:
        if self.table_locked:
            self._happen(self.now + 1.0)
            self.pulse.deferred(self.now)
            self._delta_at = self.now
            self._armed_since_delta = False
            return
        further, unheard, was_in = self._more, self._unheard, self.pulse.mode
        if not further:
            self._target, self._unread = self._unread, []
            self._target_horizon = min(self._running, default=self._next_xid)
            self._unheard = False
        page, self._target = self._target[: self.page_rows], self._target[self.page_rows :]
        self._happen(self.now + self.statement_s)
        self._more = len(page) == self.page_rows
        bells, self._bells = self._bells, 0
        self._unheard |= bells > 0
        came_with_it = [self.now] * min(bells, 1_000)
        self._heard += came_with_it
        self.delays += [self.now - committed_at for committed_at in page]
        self._delta_at = self.now
        self._armed_since_delta = False
        self._deltas.append((self.now, not page))
        self.pulse.delta_done(
            self.now, rows=len(page), more=self._more, horizon=self._target_horizon, bells=bells
        )
        if page:
            self.pages += 1
            self._sizes[self.pages] = len(page)
            assert self.pulse.last_mark == self.pages
            self.at(self.now + DECODE_S - self.start, self._take_in)
        if was_in is Mode.ARMING and self.is_in(Mode.NOTIFY):
            # The mode is new, and these bells are its first.
            self._note_mode()
            self._heard += came_with_it
        if was_in is Mode.NOTIFY:
            silent = bool(page) and not (further or unheard or bells)
            busy = self._rings_too_often()
            assert self.is_in(Mode.POLL) is (silent or busy), (
                "left notify mode without a reason, or stayed with one"
            )

    # Postgres and the sender.

    def _commit(self, xid: int, rows: int, *, rings: bool) -> None:
        self._running.remove(xid)
        self._unread += [self.now] * rows
        if rings:
            # A row can be seen before its bell is heard.
            self.at(self.now + BELL_S - self.start, self.ring)

    def _demand(self) -> Demand:
        # What is still with the decoder the sender does not know.
        ready_at = math.inf if self._blocked or self.sent < self._in_outbox else self._may_send_at
        return Demand(ready_at, self.sent, self.acked)

    def _take_in(self) -> None:
        self._in_outbox += 1
        self._send_next()

    def _send_next(self) -> None:
        if self._blocked or self.sent == self._in_outbox:
            self._woken |= self._heeds
            return
        full = self._sizes[self.sent + 1] == self.page_rows
        if not full and self.now < self._may_send_at:
            self.at(self._may_send_at - self.start, self._send_next)
            return
        self.sent += 1
        self._may_send_at = self.now + self.interval_s
        self._woken |= self._heeds
        mark = self.sent
        self.at(self.now + ACK_S - self.start, lambda: self._acknowledge(mark))
        self._send_next()

    def _acknowledge(self, mark: int) -> None:
        if self._blocked:
            # It comes when Grafana goes on.
            self.at(self.now + ACK_S - self.start, lambda: self._acknowledge(mark))
        else:
            self.acked = max(self.acked, mark)
            self._woken |= self._heeds

    # The rules.

    def _note_mode(self) -> None:
        if self.pulse.mode is not self._mode:
            if self.pulse.mode_changes == len(self.moves) + 2:
                # The delta that ended the arming came back with a flood of bells.
                assert self._mode is Mode.ARMING
                self.moves.append((self.now, self._mode, Mode.NOTIFY))
                self._mode = Mode.NOTIFY
            assert (self._mode, self.pulse.mode) in LEGAL
            self.moves.append((self.now, self._mode, self.pulse.mode))
            self._mode, self._moved_at = self.pulse.mode, self.now
            self._deltas.clear()
            self._heard.clear()
        assert self.pulse.mode_changes == len(self.moves)
        assert self.pulse.holds_gate is self.gate_ours
        assert self.gate_ours or self._mode is Mode.POLL or self.draining

    def _check(self, decision: Decision) -> None:
        act, now = decision.act, self.now
        if act is Act.WAIT:
            assert decision.until > now, "a wait that does not wait"
            assert decision.until <= self._statement_at + self.heartbeat_s, (
                "silent for longer than a heartbeat"
            )
            if self.acked > self.saved:
                assert decision.until <= self._may_write_at, "sleeps over a checkpoint"
        assert now <= self._statement_at + self.heartbeat_s or act is not Act.WAIT
        if self.draining:
            self._check_drain(decision)
            return
        assert act is not Act.STOP
        if self.gate_ours and self._mode is Mode.POLL:
            assert act is Act.FREE_GATE, "polls with the gate shut"
        if act is Act.FREE_GATE:
            assert self.gate_ours
            assert self._mode is Mode.POLL
        if self._mode is not Mode.POLL:
            assert not self._rings_too_often(), "bells come faster than messages may go"
        self._check_delta(decision)
        if act is Act.CHECKPOINT:
            assert self.acked > self.saved, "a checkpoint of nothing new"
            assert now >= self._may_write_at, "two checkpoints too close"
        elif act is not Act.FREE_GATE:
            assert self.acked == self.saved or now < self._may_write_at, "a checkpoint is overdue"
        assert not self._crowded or self._mode is Mode.POLL, "makes writers ring while the queue fills up"
        if act is Act.TAKE_GATE:
            assert not self._against_the_gate()
        elif act is Act.WAIT and not self._flipped:
            assert self._against_the_gate(), "the table is quiet and the gate is not taken"

    def _check_delta(self, decision: Decision) -> None:
        act, now = decision.act, self.now
        ahead = self.pages - self.sent
        can_take = ahead < 3 if self._more else ahead == 0 and now >= self._demand().ready_at
        bell_gap_s = 0.002 if self.interval_s else 0.0
        gap_s = {Mode.POLL: max(self.interval_s, 0.002), Mode.ARMING: 0.005, Mode.NOTIFY: bell_gap_s}[
            self._mode
        ]
        gap_s = min(gap_s, self.heartbeat_s)
        if act is Act.DELTA:
            assert can_take, "rows that the sender cannot take"
            assert self._more or self._armed_since_delta or now >= self._delta_at + gap_s, (
                "two deltas too close"
            )
        elif act not in (Act.CHECKPOINT, Act.FREE_GATE) and can_take:
            assert not self._more, "a backlog waits"
            assert not self._armed_since_delta, "the gate is shut, and what was silent before waits"
            assert now < self._delta_at + self.heartbeat_s, "no delta for a heartbeat"
            if self._mode is not Mode.NOTIFY or self._unheard:
                assert now < self._delta_at + gap_s, "a delta is overdue"
        if act is Act.HEARTBEAT:
            assert now >= self._statement_at + self.heartbeat_s, "a heartbeat too many"

    @property
    def _may_write_at(self) -> float:
        """A second after the last checkpoint; 50 ms if that was in the run's first second."""
        return self._written_at + (0.05 if self._written_at < self.start + 1.0 else 1.0)

    @property
    def _window_s(self) -> float:
        return max(1.0, 4 * self.interval_s)

    def _rings_too_often(self) -> bool:
        while self._heard and self._heard[0] < self.now - self._window_s:
            self._heard.popleft()
        return len(self._heard) > self._window_s / max(self.interval_s, 0.000_5)

    def _against_the_gate(self) -> str:
        """Why the gate may not be taken now; empty: it should be."""
        if not self.may_ring or self.gate_ours or not self.is_in(Mode.POLL):
            return "not to be taken at all"
        if self._crowded:
            return "who rings could fail to commit"
        if self._more:
            return "a backlog waits"
        if self._flipped:
            return ""
        if self.now < self._refused_at + 5.0:
            return "refused a moment ago"
        if self.now < self._moved_at + self._window_s:
            return "the mode is new"
        if self._rings_too_often():
            return "bells would drive it out at once"
        while self._deltas and self._deltas[0][0] < self.now - self._window_s:
            self._deltas.popleft()
        if len(self._deltas) < 2:
            return "nothing is known"
        empty = sum(was_empty for _, was_empty in self._deltas)
        return "the table is busy" if 2 * empty < len(self._deltas) else ""

    def _check_drain(self, decision: Decision) -> None:
        act, now = decision.act, self.now
        assert act not in (Act.DELTA, Act.TAKE_GATE), "takes rows in while draining"
        assert (act is Act.FREE_GATE) is self.gate_ours
        done = self.acked == self.pages
        if act is Act.CHECKPOINT:
            assert self.acked > self.saved, "a checkpoint of nothing new"
            at_once = done and not self._write_failed
            assert at_once or now >= self._may_write_at, "hammers the checkpoint"
        elif done and self.saved < self.pages and act is not Act.FREE_GATE:
            assert self._write_failed
            assert now < self._may_write_at, "a checkpoint is overdue"
        assert (act is Act.STOP) is (done and self.saved == self.pages and not self.gate_ours)
