"""The middle stage: takes pages from the listener, hands batches to the sender, in the same order, one for one.

Every page becomes a batch, also when none of its rows became a line: the mark has to reach the sender to be
acknowledged. What the encoder rejected or nulled is told to the ledger before the batch is handed on, and rejected rows
are logged by key, within bounds: a flood of bad payloads is a number in the log, not a flood of lines.

With `max_age_s`, rows whose time is longer ago than that when their page is taken in are rejected as ``stale``. They do
not enter a panel's window either; rows of before the run come from the table, however old, and are not looked at here.

A page is encoded in one piece, 2,000 rows in 2 to 20 ms of Trio's thread; between pages the stage waits on its
channels, and the sender's backpressure reaches the listener through them.

Ends when the listener closes its channel; closes its own end then, and when cancelled. It owns nothing else.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable

import trio
from structlog.typing import FilteringBoundLogger

from trio_bridge.decoder.encoder import Encoder
from trio_bridge.handover import hand_on
from trio_bridge.ledger import Ledger
from trio_bridge.records import Batch, Page, Rejection
from trio_bridge.vitals import Vitals


async def run_decoder(
    pages: trio.MemoryReceiveChannel[Page],
    batches: trio.MemorySendChannel[Batch],
    *,
    encoder: Encoder,
    ledger: Ledger,
    vitals: Vitals,
    log: FilteringBoundLogger,
    max_age_s: float | None = None,
    wall_ns: Callable[[], int] = time.time_ns,
) -> None:
    """Encode pages until the listener ends. *Owns* its ends of both channels.

    Args:
        pages: from the listener; their end is the end.
        batches: to the sender.
        encoder: of this run.
        ledger: told what is rejected and nulled.
        vitals: told how full the channel is.
        log: for rejected rows, within bounds.
        max_age_s: rows older than this are rejected; None: none is too old.
        wall_ns: the clock that a row's time is held against, ns since 1970.
    """
    max_age_ns = None if max_age_s is None else int(max_age_s * 1e9)
    rejected = RejectionLog(log)
    async with pages, batches:
        try:
            while True:
                try:
                    page = await _receive(pages, rejected.due_at)
                except trio.EndOfChannel:
                    break
                if page is None:
                    rejected.sum_up(trio.current_time())
                    continue
                batch = encoder.encode(page, None if max_age_ns is None else wall_ns() - max_age_ns)
                now = trio.current_time()
                for rejection in batch.rejections:
                    ledger.rejected(rejection.reason)
                    rejected.add(rejection, now)
                for reason, times in batch.nulled.items():
                    ledger.nulled(reason, times)
                await hand_on(batches, batch)
                vitals.batches.set(batches.statistics().current_buffer_used)
        finally:
            rejected.close()


async def _receive(pages: trio.MemoryReceiveChannel[Page], until: float) -> Page | None:
    """The next page; None: none has come by `until`."""
    if until == math.inf:
        # Nearly always. A scope costs more than all the rest of a receive.
        return await pages.receive()
    with trio.move_on_at(until):
        return await pages.receive()
    return None


class RejectionLog:
    """Logs rejected rows one by one up to a limit for each reason and second, and the number of the others.

    Attributes:
        due_at: when `sum_up` has something to say, in the seconds that the methods are given; ``math.inf``: nothing.
    """

    # A guess: enough to see a pattern in the keys, few enough to read.
    LINES_PER_REASON = 5
    WINDOW_S = 1.0

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._window_ends = -math.inf
        self._seen: Counter[str] = Counter()
        self.due_at = math.inf

    def add(self, rejection: Rejection, now: float) -> None:
        """Log `rejection`, or count it if its reason has had its lines."""
        if now >= self._window_ends:
            self.sum_up(now)
            self._window_ends = now + self.WINDOW_S
        self._seen[rejection.reason] += 1
        if self._seen[rejection.reason] <= self.LINES_PER_REASON:
            self._log.warning(
                "row_rejected", reason=rejection.reason, key=rejection.key, detail=rejection.detail
            )
        else:
            self.due_at = self._window_ends

    def sum_up(self, now: float) -> None:
        """Log how many rows were only counted, if their second is over at `now`."""
        if now >= self._window_ends:
            self.close()

    def close(self) -> None:
        """Log how many rows were only counted."""
        for reason, times in self._seen.items():
            if times > self.LINES_PER_REASON:
                self._log.warning("rows_rejected", reason=reason, count=times - self.LINES_PER_REASON)
        self._seen.clear()
        self.due_at = math.inf
