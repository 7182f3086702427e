"""Keyframes: messages that replace what a panel shows by the last N rows, and the flag that makes them do so.

A browser empties its buffer when a message's schema differs from the one before (Grafana: StreamingDataFrame). So each
keyframe carries, in its first line, a dummy text field whose name rotates ``_0`` … ``_9``; messages in between repeat
the flag of the latest keyframe that was sent, or they would wipe the history themselves. The first line of every
message also carries every field, so that order and types are the same in all: for routes whose lines are sparse
(series) it is filled up with nulls, which the line's own fields override, because the last of two equal names wins.

A line that is slow, or not known yet, takes small messages only (`trio_bridge.sender.congestion`): a keyframe then
shows as many of the last rows as fit, and as soon as much more would fit the next one follows.

Pure: told what is sent and what time it is. A keyframe acknowledges nothing and delivers nothing new: it may only be
taken while no row that is in the window waits to be sent.
"""

from __future__ import annotations

import math
from typing import Final

from trio_bridge.records import Batch
from trio_bridge.sender.history import MAX_WINDOW_BYTES, Window

FLAGS: Final = 10
"""Names that rotate: a browser may miss nine keyframes and still sees the next one as another."""

IDLE_INTERVAL_S: Final = 5.0
"""Between keyframes while no rows come: a browser that reconnects shows the last message twice until the next one."""

OPENING_KEYFRAMES: Final = 2
"""At the start of a connection: the first flag may happen to be the one that a browser has seen last, the second then
differs from it."""

MUCH_MORE: Final = 2
"""Times as much room as the last keyframe had, which left rows out: worth another at once. A connection on a local
network begins with three of them within some milliseconds, which no browser draws."""


class Keyframes:
    """One route's flag and window, for one connection.

    Args:
        measurement: what every line begins with.
        window: None: history is off, messages carry no flag.
        interval_s: between keyframes while rows come.
        first_flag: 0 to 9; random, so that a restart rarely repeats the flag that a browser has seen last.
    """

    def __init__(
        self, measurement: str, window: Window | None, *, interval_s: float, first_flag: int
    ) -> None:
        self._head = len(measurement.encode()) + 1
        self._window = window
        self._interval_s = interval_s
        self._next_flag = first_flag
        self._flag = b""
        self._defaults = self._next_defaults = b""
        self._openings = OPENING_KEYFRAMES
        self._fields_changed = False
        self._rows_since = False
        self._taken_at = -math.inf
        # What the latest keyframe was allowed, if that left rows out.
        self._cut_at = math.inf

    def prepare(self, batch: Batch) -> None:
        """`batch` comes next: if it brings new fields, a keyframe has to go before it, and carries them first."""
        self._next_defaults = batch.defaults
        if batch.defaults == self._defaults:
            return
        if self._window:
            # Rows that still wait go with the fields that are known to the browsers: others would wipe the history.
            self._fields_changed = True
        else:
            self._defaults = batch.defaults

    def add(self, batch: Batch) -> None:
        """The rows of `batch` are on their way."""
        if self._window is not None and batch.lines:
            self._window.add(batch.lines, batch.keys)
            self._rows_since = True

    def due_at(self, room: int = MAX_WINDOW_BYTES) -> float:
        """When the next keyframe may go, on the clock of `take`; ``math.inf``: there is nothing to show.

        Args:
            room: of `take`.
        """
        if not self._window:
            return math.inf
        if self._openings or self._fields_changed or min(room, MAX_WINDOW_BYTES) >= MUCH_MORE * self._cut_at:
            return -math.inf
        return self._taken_at + (self._interval_s if self._rows_since else IDLE_INTERVAL_S)

    def take(self, now: float, room: int = MAX_WINDOW_BYTES) -> bytes:
        """The keyframe; only to be called while `due_at` is finite. From here on messages carry its flag.

        Args:
            now: the time.
            room: bytes that its rows may take.
        """
        assert self._window is not None
        self._flag = b'_%d="",' % self._next_flag
        self._next_flag = (self._next_flag + 1) % FLAGS
        self._openings = max(0, self._openings - 1)
        self._fields_changed = self._rows_since = False
        self._defaults = self._next_defaults
        self._taken_at = now
        lacking = max(0, self._defaults.count(b'="') - 1)
        lines = self._window.lines(lacking, room)
        self._cut_at = min(room, MAX_WINDOW_BYTES) if len(lines) < len(self._window) else math.inf
        return self.decorated(b"\n".join(lines))

    def decorated(self, data: bytes) -> bytes:
        """`data`, lines of this route, with what the first line of every message carries."""
        return data[: self._head] + self._flag + self._defaults + data[self._head :]
