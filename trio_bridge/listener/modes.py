"""When the listener asks Postgres, and how it learns that there is something to ask for. Pure: time is an argument.

Two modes, as a network card has them: interrupts when idle, polling under load.

    poll    the gate is free, so the trigger is silent and writers pay nothing; a delta once per message interval
    notify  we hold the gate, so the trigger rings; a bell makes a delta at once

    poll ──QUIET, gate taken──▶ arming ──SETTLED──▶ notify
      ▲                           │                   │
      └───────BUSY, CROWDED───────┴─BUSY, SILENT, CROWDED─┘

*Arming* bridges the moment between taking the gate and being able to rely on bells: a transaction that found the gate
free and commits afterwards is silent, so deltas go on every few milliseconds until every such transaction has ended.

In every mode a delta runs at least once per heartbeat: it finds what no bell announced, and its answer is the proof
that the connection lives. While the sender cannot take rows, a heartbeat that reads none takes its place.
**The mode changes latency and cost, never what is delivered.**
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

MIN_GAP_S: Final = 0.002
"""Least time between two deltas that may come back empty. Measured: 1,000 bells/s without it cost a third of a core.
Without a pace the operator wants it so: a bell is answered at once, and only polling keeps the gap."""

MIN_BELL_INTERVAL_S: Final = 0.000_5
"""Bells that come faster than this are too many for any pace: above 2,000 commits/s the writers feel the ringing."""

ARMING_GAP_S: Final = 0.005
"""Between deltas while arming. Measured: a silent transaction's row is at most 6.5 ms late."""

ARMING_CAP_S: Final = 5.0
"""Longest arming: a transaction older than this is left to the heartbeat."""

WINDOW_S: Final = 1.0
"""What 'lately' means when bells and empty deltas are counted."""

GATE_RETRY_S: Final = 5.0
"""Somebody else holds the gate: ask again after this. A guess: it only costs latency."""

CHECKPOINT_INTERVAL_S: Final = 1.0
"""At most one checkpoint write in this time: a failure repeats about as much."""

FIRST_CHECKPOINTS_S: Final = 0.05
"""The same in the first `CHECKPOINT_INTERVAL_S` of a run: runs that are all cut within a second would else repeat the
same rows for ever. A guess: a write takes a millisecond, and twenty of them a second are not felt."""

MAX_PAGES_AHEAD: Final = 3
"""Pages of a backlog that may be between the listener and the socket. Measured: with 1,000 of them and a failure every
4 s, 83 % of the rows never got through."""


class Mode(Enum):
    """How the listener learns of rows."""

    POLL = "poll"
    ARMING = "arming"
    NOTIFY = "notify"


class Event(Enum):
    """What moves the mode."""

    QUIET = auto()
    SETTLED = auto()
    BUSY = auto()
    SILENT = auto()
    CROWDED = auto()


TRANSITIONS: Final[dict[tuple[Mode, Event], Mode]] = {
    (Mode.POLL, Event.QUIET): Mode.ARMING,
    (Mode.ARMING, Event.SETTLED): Mode.NOTIFY,
    (Mode.ARMING, Event.BUSY): Mode.POLL,
    (Mode.ARMING, Event.CROWDED): Mode.POLL,
    (Mode.NOTIFY, Event.BUSY): Mode.POLL,
    (Mode.NOTIFY, Event.SILENT): Mode.POLL,
    (Mode.NOTIFY, Event.CROWDED): Mode.POLL,
}
"""Every legal change; anything else is a bug and raises KeyError."""


class Act(Enum):
    """What the listener does next."""

    DELTA = auto()
    HEARTBEAT = auto()
    TAKE_GATE = auto()
    FREE_GATE = auto()
    CHECKPOINT = auto()
    WAIT = auto()
    STOP = auto()


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do.

    Attributes:
        act: this.
        until: for WAIT, the monotonic second at which to decide again; earlier if something comes in.
        heeds_sender: for WAIT, whether news of the sender could make it earlier.
    """

    act: Act
    until: float = math.inf
    heeds_sender: bool = True


@dataclass(frozen=True, slots=True)
class Demand:
    """What the sender says at this moment; see `trio_bridge.feedback.Feedback`."""

    ready_at: float
    sent_mark: int
    acked_mark: int


class Pulse:
    """Decides; the listener asks `decide` in a loop, does what it says and reports what came of it.

    Args:
        interval_s: the sender's pace; also the gap between deltas in poll mode.
        heartbeat_s: longest time between two statements.
        may_ring: whether the gate may be taken at all (a trigger is there and no prepared transaction can break).
        now: monotonic seconds.
    """

    def __init__(self, *, interval_s: float, heartbeat_s: float, may_ring: bool, now: float) -> None:
        self.mode = Mode.POLL
        self.mode_changes = 0
        self._interval_s = max(interval_s, MIN_GAP_S)
        self._bell_interval_s = max(interval_s, MIN_BELL_INTERVAL_S)
        self._bell_gap_s = MIN_GAP_S if interval_s else 0.0
        self._heartbeat_s = heartbeat_s
        self._may_ring = may_ring
        self._crowded = False
        self._window_s = max(WINDOW_S, 4 * self._interval_s)
        self._since = now
        self._holds_gate = False
        self._gate_retry_at = now
        self._fence: int | None = None
        self._bell = False
        self._bells: deque[float] = deque()
        self._deltas: deque[tuple[float, bool]] = deque()
        self._delta_at = -math.inf
        self._statement_at = -math.inf
        self._more = False
        self._last_mark = 0
        self._saved_mark = 0
        self._save_failed = False
        self._began_at = now
        self._saved_at = -math.inf

    # What happened.

    def rang(self, now: float, bells: int = 1) -> None:
        """`bells` notifications arrived."""
        self._bell = True
        self._bells.extend([now] * min(bells, self._too_many))
        self._forget_before(now - self._window_s)
        # In poll mode the gate may still be ours for a moment: its bells move nothing any more.
        if self.mode is not Mode.POLL and len(self._bells) >= self._too_many:
            self._move(Event.BUSY, now)

    def delta_done(self, now: float, *, rows: int, more: bool, horizon: int, bells: int) -> None:
        """A delta came back.

        Args:
            now: monotonic seconds.
            rows: how many it brought.
            more: whether it has further pages.
            horizon: xmin of its snapshot: every transaction below has ended.
            bells: notifications that arrived while it ran; it may have missed what they announced.
        """
        # A further page shows no more than the first one's snapshot: it needs no bell of its own, and answers none.
        further = self._more
        announced = further or self._bell or bells > 0
        self._bell = further and self._bell
        self._delta_at = self._statement_at = now
        self._more = more
        self._deltas.append((now, rows == 0))
        self._forget_before(now - self._window_s)
        if rows:
            self._last_mark += 1
        if self.mode is Mode.ARMING and (
            (self._fence is not None and horizon > self._fence) or now - self._since >= ARMING_CAP_S
        ):
            self._move(Event.SETTLED, now)
        elif self.mode is Mode.NOTIFY and rows and not announced:
            # Rows that nobody announced: the trigger is off, or they went straight into a partition.
            self._move(Event.SILENT, now)
        if bells:
            self.rang(now, bells)

    def heartbeat_done(self, now: float) -> None:
        """A statement that reads no rows was answered."""
        self._statement_at = now

    def deferred(self, now: float) -> None:
        """The delta could not run (its table is locked): as if it had come back empty, but nothing is known."""
        self._delta_at = self._statement_at = now

    def gate_taken(self, now: float, fence: int) -> None:
        """We hold the gate; every transaction that may have been silent is below xid `fence`."""
        self._holds_gate = True
        self._fence = fence
        self._statement_at = now
        self._delta_at = -math.inf
        self._move(Event.QUIET, now)

    def gate_refused(self, now: float) -> None:
        """Somebody else holds the gate."""
        self._statement_at = now
        self._gate_retry_at = now + GATE_RETRY_S

    def gate_freed(self, now: float) -> None:
        """We hold the gate no more."""
        self._holds_gate = False
        self._statement_at = now

    def queue_looked_at(self, now: float, *, crowded: bool) -> None:
        """Whether the cluster's notification queue fills up: when it is full, whoever rings fails to commit."""
        self._crowded = crowded
        if crowded and self.mode is not Mode.POLL:
            self._move(Event.CROWDED, now)

    def saved(self, now: float, mark: int) -> None:
        """The checkpoint of `mark` is written."""
        self._saved_mark = mark
        self._save_failed = False
        self._saved_at = self._statement_at = now

    def not_saved(self, now: float) -> None:
        """The checkpoint could not be written; try again in a while."""
        self._save_failed = True
        self._saved_at = self._statement_at = now

    def flip(self, now: float) -> None:
        """Change the mode as soon as it can be done, for tests: what is delivered must not change."""
        if self.mode is Mode.POLL:
            self._since = -math.inf
            self._gate_retry_at = now
            self._bells.clear()
            self._deltas.clear()
            self._deltas.extend([(now, True)] * 2)
        else:
            self._move(Event.BUSY, now)

    # What to do.

    def decide(self, now: float, demand: Demand, *, draining: bool = False) -> Decision:
        """What to do now; the caller reports the outcome before it asks again."""
        if draining:
            return self._decide_drain(now, demand)
        if self._holds_gate and self.mode is Mode.POLL:
            return Decision(Act.FREE_GATE)
        may_save_at = self._may_save_at if self._last_mark > self._saved_mark else math.inf
        if now >= may_save_at and demand.acked_mark > self._saved_mark:
            return Decision(Act.CHECKPOINT)
        pull_at, wanted_at = self._pull_at(demand), self._wanted_at()
        delta_at = max(pull_at, wanted_at)
        if now >= delta_at:
            return Decision(Act.DELTA)
        heartbeat_at = self._statement_at + self._heartbeat_s
        if now >= heartbeat_at:
            return Decision(Act.HEARTBEAT)
        if self._is_quiet(now):
            return Decision(Act.TAKE_GATE)
        # The sender's word is looked at when there is something to do with it; only if it is late then, it is waited
        # for: an acknowledgement when a checkpoint may be written, a demand when there may be rows.
        ack_late, demand_late = now >= may_save_at, now >= wanted_at
        look_at = min(math.inf if ack_late else may_save_at, delta_at if demand_late else wanted_at)
        return Decision(Act.WAIT, min(look_at, heartbeat_at), heeds_sender=ack_late or demand_late)

    @property
    def holds_gate(self) -> bool:
        """Whether the trigger rings for us."""
        return self._holds_gate

    @property
    def last_mark(self) -> int:
        """Mark of the last page that had rows."""
        return self._last_mark

    # How it is decided.

    def _decide_drain(self, now: float, demand: Demand) -> Decision:
        if self._holds_gate:
            return Decision(Act.FREE_GATE)
        if demand.acked_mark == self._last_mark == self._saved_mark:
            return Decision(Act.STOP)
        save_at = math.inf
        if demand.acked_mark > self._saved_mark:
            # The last one at once; the ones before as ever, in case the drain is cut short.
            last = demand.acked_mark == self._last_mark and not self._save_failed
            save_at = now if last else self._may_save_at
        if now >= save_at:
            return Decision(Act.CHECKPOINT)
        heartbeat_at = self._statement_at + self._heartbeat_s
        if now >= heartbeat_at:
            return Decision(Act.HEARTBEAT)
        return Decision(Act.WAIT, min(save_at, heartbeat_at))

    @property
    def _may_save_at(self) -> float:
        """From when the next checkpoint may be written; the first one of a run at once."""
        is_young = self._saved_at < self._began_at + CHECKPOINT_INTERVAL_S
        return self._saved_at + (FIRST_CHECKPOINTS_S if is_young else CHECKPOINT_INTERVAL_S)

    def _pull_at(self, demand: Demand) -> float:
        """From when the sender can use rows."""
        ahead = self._last_mark - demand.sent_mark
        if self._more:
            return -math.inf if ahead < MAX_PAGES_AHEAD else math.inf
        return math.inf if ahead else demand.ready_at

    def _wanted_at(self) -> float:
        """From when there may be rows."""
        if self._more:
            return -math.inf
        if self.mode is Mode.POLL:
            gap_s = self._interval_s
        elif self.mode is Mode.ARMING:
            gap_s = ARMING_GAP_S
        else:
            gap_s = self._bell_gap_s if self._bell else math.inf
        # Counted from the last delta: other statements prove that the connection lives, but find no rows.
        return self._delta_at + min(gap_s, self._heartbeat_s)

    def _is_quiet(self, now: float) -> bool:
        if (
            not self._may_ring
            or self._crowded
            or self.mode is not Mode.POLL
            or self._more
            or now < self._gate_retry_at
        ):
            return False
        if now - self._since < self._window_s:
            return False
        # While the sender takes nothing no delta runs, and what the last ones found says nothing about now.
        self._forget_before(now - self._window_s)
        # The gate is free and still it rings: somebody forges bells, and would drive us out again at once.
        if len(self._bells) >= self._too_many:
            return False
        empty = sum(1 for _, was_empty in self._deltas if was_empty)
        return len(self._deltas) >= 2 and 2 * empty >= len(self._deltas)

    @property
    def _too_many(self) -> int:
        """Bells in one window that mean: they come faster than messages may go."""
        return int(self._window_s / self._bell_interval_s) + 1

    def _forget_before(self, past: float) -> None:
        while self._bells and self._bells[0] < past:
            self._bells.popleft()
        while self._deltas and self._deltas[0][0] < past:
            self._deltas.popleft()

    def _move(self, event: Event, now: float) -> None:
        self.mode = TRANSITIONS[self.mode, event]
        self.mode_changes += 1
        self._since = now
        self._bells.clear()
        self._deltas.clear()
