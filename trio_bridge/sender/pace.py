"""When a message may go and what it carries: the outbox of one route, lines in, messages out.

Messages, not rows, cost the browser that draws them, so lines that come close together travel together: a
message goes at once if `interval_s` have passed since the last one, or as soon as it is full; else its lines
wait. How much fits is said when it goes, because a slow line takes less (`trio_bridge.sender.congestion`).

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


@dataclass(slots=True)
class _Waiting:
    """A batch of which something waits.

    Attributes:
        ends: ``ends[n]`` is the size of the first n lines, with one newline each.
        taken: how many lines have left.
    """

    batch: Batch
    ends: list[int]
    taken: int = 0


class Outbox:
    """Lines that wait for their message.

    Attributes:
        next_at: time from which a message that is not full may go; ``-math.inf`` before the first one.
        waiting_bytes: size of all lines that wait, with one newline each.
    """

    def __init__(self, interval_s: float, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """An empty outbox; `interval_s` 0 switches the pace off."""
        self._interval_s = interval_s
        self._max_message_bytes = max_message_bytes
        self._waiting: deque[_Waiting] = deque()
        self.next_at = -math.inf
        self.waiting_bytes = 0

    def __bool__(self) -> bool:
        """Whether anything waits, be it only a mark."""
        return bool(self._waiting)

    def add(self, batch: Batch) -> None:
        """Put the lines of `batch` behind those that wait.

        Raises:
            ValueError: a line is longer than a message may be; the encoder must not have made it.
        """
        # The loops over the lines stay in C: a batch of 1,000 costs 0.1 µs a line, joining included (measured).
        sizes = list(map(len, batch.lines))
        longest = max(sizes, default=0)
        if longest > self._max_message_bytes:
            raise ValueError(f"a line of {longest} bytes is longer than a message")
        ends = [0, *accumulate(map((1).__add__, sizes))]
        self._waiting.append(_Waiting(batch, ends))
        self.waiting_bytes += ends[-1]

    def due_at(self, now: float, room: int = MAX_MESSAGE_BYTES) -> float:
        """When the next message of at most `room` bytes may go: `now` (at once), later, ``math.inf``: none waits."""
        if not self._waiting:
            return math.inf
        if not self._waiting[0].batch.lines or self.waiting_bytes > self._fitting(room):
            return now
        return max(now, self.next_at)

    def take(self, now: float, room: int = MAX_MESSAGE_BYTES) -> Message:
        """The next message, due or not; only to be called while something waits (`due_at` is finite).

        Args:
            now: the time.
            room: its size at most, bytes; a single line may be larger.
        """
        fitting = self._fitting(room)
        parts: list[bytes] = []
        size = rows = 0
        mark: int | None = None
        rung_at: float | None = None
        while self._waiting:
            waiting = self._waiting[0]
            batch, ends, start = waiting.batch, waiting.ends, waiting.taken
            if batch.lines:
                if mark is not None and not parts:
                    # Marks without lines have no pace; these lines have.
                    break
                stop = bisect_right(ends, ends[start] + fitting - size) - 1
                if not parts:
                    stop = max(stop, start + 1)
                if stop > start:
                    parts.append(b"\n".join(batch.lines[start:stop]))
                    size += ends[stop] - ends[start]
                    rows += stop - start
                    rung_at = batch.rung_at if rung_at is None else rung_at
                    waiting.taken = stop
                if stop < len(batch.lines):
                    break
            mark = batch.mark
            self._waiting.popleft()
        if parts:
            self.waiting_bytes -= size
            self.next_at = now + self._interval_s
        return Message(b"\n".join(parts), rows, mark, rung_at)

    def _fitting(self, room: int) -> int:
        """What fits a message of `room` bytes, counted with a newline after every line: it has none after its last."""
        return min(self._max_message_bytes, room) + 1
