"""When a message may go and what it carries: the outbox of one route, lines in, messages out.

Messages, not rows, cost the browser that draws them, so lines that come close together travel together: a
message goes at once if `interval_s` have passed since the last one, or as soon as it is full; else its lines
wait.

Pure: the time is an argument, nothing is awaited, nothing is owned. Lines leave in the order in which they
came, each in exactly one message, never cut. A mark leaves with the message that carries the last of its lines.
The outbox sets itself no bound: who fills it stops at `waiting_bytes` (see `trio_bridge.sender.stage`).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from trio_bridge.records import Batch

# 64 KiB. Grafana cuts the connection above 1 MiB, and a message of short lines becomes about three times
# larger on its way to the browsers, where 1 MiB that waits cuts *them* (measured on Grafana 9.4); beyond 64
# KiB a larger message saves nothing here either (measured: 265 µs each, 250 MB/s).
MAX_MESSAGE_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Message:
    """What is written to the socket in one go.

    Attributes:
        data: lines joined by newlines; empty: there is nothing to write, only a mark that is complete.
        rows: how many lines.
        completed_mark: every line of this mark and of all before is in this or an earlier message; None: no
            mark ended here.
        rung_at: when the first bell was heard that led to reading these lines, monotonic seconds of the listener;
            None: none did.
    """

    data: bytes
    rows: int
    completed_mark: int | None
    rung_at: float | None = None


class Outbox:
    """Lines that wait for their message.

    Attributes:
        next_at: time from which a message that is not full may go; ``-math.inf`` before the first one.
        waiting_bytes: size of all lines that wait, with one newline each.
    """

    def __init__(self, interval_s: float, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """An empty outbox; `interval_s` 0 switches the pace off."""
        self._interval_s = interval_s
        # Sizes are counted with a newline after every line; a message has none after its last.
        self._room = max_message_bytes + 1
        self._full: deque[Message] = deque()
        self._open: list[bytes] = []
        self._open_size = 0
        self._open_rows = 0
        self._open_mark: int | None = None
        self._open_rung_at: float | None = None
        self.next_at = -math.inf
        self.waiting_bytes = 0

    def add(self, batch: Batch) -> None:
        """Put the lines of `batch` behind those that wait.

        Raises:
            ValueError: a line is longer than a message may be; the encoder must not have made it.
        """
        lines = batch.lines
        # The loop over the lines stays in C: a batch of 1,000 costs 0.1 µs a line, joining included
        # (measured).
        ends = [0, *accumulate(map((1).__add__, map(len, lines)))]
        self.waiting_bytes += ends[-1]
        start = 0
        while start < len(lines):
            stop = bisect_right(ends, ends[start] + self._room - self._open_size) - 1
            if stop == start:
                if not self._open:
                    raise ValueError(f"a line of {len(lines[start])} bytes is longer than a message")
                self._seal()
                continue
            if self._open_rung_at is None:
                self._open_rung_at = batch.rung_at
            self._open.append(b"\n".join(lines[start:stop]))
            self._open_size += ends[stop] - ends[start]
            self._open_rows += stop - start
            start = stop
        self._open_mark = batch.mark

    def due_at(self, now: float) -> float:
        """When the next message may go: `now` (at once), later, or ``math.inf`` if nothing waits."""
        if self._full or (self._open_mark is not None and not self._open):
            return now
        return max(now, self.next_at) if self._open else math.inf

    def take(self, now: float) -> Message:
        """The next message, due or not; only to be called while something waits (`due_at` is finite)."""
        if not self._full:
            self._seal()
        message = self._full.popleft()
        if message.data:
            self.waiting_bytes -= len(message.data) + 1
            self.next_at = now + self._interval_s
        return message

    def _seal(self) -> None:
        """What is open is a message from now on."""
        self._full.append(
            Message(b"\n".join(self._open), self._open_rows, self._open_mark, self._open_rung_at)
        )
        self._open = []
        self._open_size = 0
        self._open_rows = 0
        self._open_mark = None
        self._open_rung_at = None
