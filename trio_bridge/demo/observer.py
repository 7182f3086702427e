"""Looks at every part of the demo and says where the rows are: parts → `DemoStatistics`, again and again.

The parts come into being one after the other, so each may be missing; what is not there yet counts nothing.
Reads only; owns nothing. The terminal and the page both show `moment`, so they never disagree.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable

import msgspec
import trio

from trio_bridge.demo.audit import Audit
from trio_bridge.demo.chaos import Chaos
from trio_bridge.demo.database import Database
from trio_bridge.demo.statistics import DemoStatistics, Phase, Rate
from trio_bridge.demo.writer import Writer, WriterStatistics
from trio_bridge.ledger import Ledger, LedgerStatistics
from trio_bridge.live.server import LiveServer
from trio_bridge.service import Service

SAMPLE_S = 0.25


class Observer:
    """What the demo is doing.

    Args:
        live: the stand-in, or None: the Grafana is somebody else's.
        target_rate: rows per second asked of the writers.
        writers: how many.

    Attributes:
        moment: the last sample.
        database: assigned when it is there, like the three that follow.
        service: the bridge.
        writer: the writers.
        audit: the books that compare.
        chaos: None: nothing is broken on purpose.
    """

    def __init__(self, live: LiveServer | None, *, target_rate: int, writers: int) -> None:
        self.moment = DemoStatistics(target_rate=target_rate, writers=writers)
        self.database: Database | None = None
        self.service: Service | None = None
        self.writer: Writer | None = None
        self.audit: Audit | None = None
        self.chaos: Chaos | None = None
        self._live = live
        self._phase: Phase = "starting"
        self._started_at: float | None = None
        self._ended_at: float | None = None
        self._commit_rate = Rate()
        self._acknowledge_rate = Rate()

    def entered(self, phase: Phase) -> None:
        """The demo is in this phase from now on; the clock runs while it is *running*."""
        self._phase = phase
        if phase == "running":
            self._started_at = time.monotonic()
        elif self._ended_at is None:
            self._ended_at = time.monotonic()

    async def sample(self) -> None:
        """Takes a moment every `SAMPLE_S`, until cancelled."""
        while True:
            self.look()
            await trio.sleep(SAMPLE_S)

    async def events(self) -> AsyncGenerator[str, None]:
        """The moments as lines of JSON, for one visitor; endless."""
        while True:
            yield msgspec.json.encode(self.moment).decode()
            await trio.sleep(SAMPLE_S)

    def look(self) -> DemoStatistics:
        """Takes a moment now."""
        now = time.monotonic()
        writer = self._writers()
        books = self._books()
        audit, live = self.audit, self._live
        commit_rate = acknowledge_rate = 0.0
        # Before the start there is nothing to divide by.
        if self._started_at is not None:
            commit_rate = self._commit_rate(now, writer.committed)
            acknowledge_rate = self._acknowledge_rate(now, books.acknowledged)
        self.moment = DemoStatistics(
            phase=self._phase,
            elapsed_s=0.0 if self._started_at is None else (self._ended_at or now) - self._started_at,
            target_rate=self.moment.target_rate,
            writers=self.moment.writers,
            writers_connected=writer.connected,
            committed=writer.committed,
            commit_rate=commit_rate,
            uncertain=writer.uncertain,
            postgres_up=self._postgres_up(writer),
            mode=self._mode(),
            acknowledged=books.acknowledged,
            acknowledge_rate=acknowledge_rate,
            pending=books.pending,
            rejected=sum(books.rejected.values()),
            restarts=books.restarts,
            messages=books.messages,
            sent_bytes=books.bytes,
            live_up=self.chaos is None or self.chaos.live_up,
            delivered=audit.delivered if audit else 0,
            duplicates=audit.duplicates if audit else 0,
            viewers=live.channels.subscriptions if live else 0,
            latency_p50_ms=self._latency_ms(0.5),
            latency_p99_ms=self._latency_ms(0.99),
            fault=self.chaos.last if self.chaos else "",
        )
        return self.moment

    def _writers(self) -> WriterStatistics:
        if self.writer is None:
            return WriterStatistics(committed=0, uncertain=0, behind=0, reconnects=0, connected=0)
        return self.writer.statistics()

    def _books(self) -> LedgerStatistics:
        ledger = self.service.routes[0].ledger if self.service else Ledger()
        return ledger.statistics()

    def _postgres_up(self, writer: WriterStatistics) -> bool:
        if self.database is None:
            return False
        # Of somebody else's server we only know whether it answers.
        server = self.database.server
        return writer.connected > 0 if server is None else server.running

    def _mode(self) -> str:
        if self.service is None:
            return "down"
        if self._phase == "done":
            return "stopped"
        status = self.service.routes[0].status
        return status.mode.value if status.phase in ("running", "draining") else "down"

    def _latency_ms(self, share: float) -> float | None:
        recent: Callable[[float], float | None] | None = self.audit.latency.recent if self.audit else None
        duration_s = recent(share) if recent else None
        return None if duration_s is None else duration_s * 1000
