"""One replay: a source of its own, and the decoder and sender of the service, for one range and one connection.

    replay source ─▶ decoder ─▶ sender ─▶ Grafana        a pong proves what was processed, as in the service

`run_replay` ends when every row of the range is acknowledged or rejected, when it is told to stop (then what was handed
on is still acknowledged, within the service's ``drain_timeout_s``), or with the first failure: it never starts again by
itself, but its outcome says from where to go on. Into a measurement of its own it sends keyframes as the service does,
and one at the end, which Grafana shows to whoever opens the panel later. Into the measurement of a running service it
sends none: two keepers of one window would take turns in replacing it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial

import trio
from msgspec import structs
from structlog.typing import FilteringBoundLogger

from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import RouteSettings, Settings
from trio_bridge.decoder.encoder import Encoder
from trio_bridge.decoder.stage import run_decoder
from trio_bridge.errors import BridgeError
from trio_bridge.grafana.push import open_push
from trio_bridge.ledger import Ledger, LedgerStatistics
from trio_bridge.listener.stage import Line, Lost, Opened, SourceStatus, run_listener
from trio_bridge.one_failure import one_failure
from trio_bridge.postgres.conninfo import resolve
from trio_bridge.records import Batch, Page
from trio_bridge.replay.pages import Place, Span
from trio_bridge.replay.source import ReplaySource
from trio_bridge.sender.history import Window
from trio_bridge.sender.keyframes import FLAGS, Keyframes
from trio_bridge.sender.stage import run_sender
from trio_bridge.vitals import Vitals

LAST_KEYFRAME_LOOK_S = 0.05
"""How soon the last keyframe is noticed; nobody rings for it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a replay.

    Attributes:
        books: rows that were read (``seen``), acknowledged, rejected by reason, and pending.
        finished: the whole range was read, and all of it is acknowledged or rejected.
        place: everything up to here is; None: nothing is.
        failure: what ended it; None: nothing did.
    """

    books: LedgerStatistics
    finished: bool
    place: Place | None
    failure: BridgeError | None


class Replay:
    """One replay; `run` it once.

    Args:
        settings: of the whole program.
        route: a table route; its `max_age` does not count here.
        span: which rows.
        measurement: where to send them; None: where the route does.
        rate: most rows a second; None: as many as Grafana takes.
        log: for warnings.
    """

    def __init__(
        self,
        settings: Settings,
        route: RouteSettings,
        span: Span,
        *,
        measurement: str | None,
        rate: int | None,
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._route = route if measurement is None else structs.replace(route, measurement=measurement)
        self._keeps_window = measurement is not None and route.window_rows > 0
        self._span = span
        self._rate = rate
        self._log = log
        self._ledger = Ledger()
        self._source: ReplaySource | None = None

    @property
    def total(self) -> int | None:
        """Rows that there were to send when it began; None: not counted, or not yet."""
        return None if self._source is None else self._source.total

    def books(self) -> LedgerStatistics:
        """The rows so far."""
        return self._ledger.statistics()

    async def run(self, stop: trio.Event, at_once: trio.CancelScope | None = None) -> Outcome:
        """Replay the range, or until `stop` is set; cancelling `at_once` does not even wait for what is on its way."""
        failure: BridgeError | None = None
        try:
            with at_once or trio.CancelScope():
                await self._run_stages(stop)
        except BridgeError as error:
            failure = error
        except BaseExceptionGroup as group:
            cause = one_failure(group)
            if not isinstance(cause, BridgeError):
                raise
            failure = cause
        source = self._source
        return Outcome(
            self.books(),
            finished=failure is None and source is not None and source.finished(),
            place=self._span.after if source is None else source.place(),
            failure=failure,
        )

    async def _run_stages(self, stop: trio.Event) -> None:
        attempts = await resolve(self._settings.postgres, f"replay {self._route.name}")
        line = Line(SourceStatus())
        assert self._route.table is not None
        self._source = ReplaySource(
            self._settings.postgres,
            self._route,
            parse_table(self._route.table),
            self._span,
            rate=self._rate,
            attempts=attempts,
            line=line,
            log=self._log,
        )
        grafana = self._settings.grafana
        ledger, vitals, log = self._ledger, Vitals(), self._log
        page_in, page_out = trio.open_memory_channel[Page](1)
        batch_in, batch_out = trio.open_memory_channel[Batch](1)
        async with trio.open_nursery() as outer:
            outer.start_soon(self._drain_at, stop, line, outer.cancel_scope)
            async with trio.open_nursery() as stages:
                # Keeps the stages open behind the source, for the last keyframe.
                with page_in.clone():
                    read = trio.Event()
                    opened: Opened | None = await stages.start(
                        partial(self._listen, self._source, line, page_in, vitals=vitals, read=read)
                    )
                    if opened is None:
                        return
                    stages.start_soon(
                        partial(
                            run_decoder,
                            page_out,
                            batch_in,
                            encoder=Encoder(opened.mapping),
                            ledger=ledger,
                            vitals=vitals,
                            log=log,
                        )
                    )
                    stages.start_soon(
                        partial(
                            run_sender,
                            batch_out,
                            connect=partial(open_push, grafana, opened.mapping.stream),
                            interval_s=grafana.message_interval_ms / 1000,
                            ack_timeout_s=grafana.ack_timeout_s,
                            max_unacked_bytes=grafana.max_unacked_bytes,
                            keyframes=self._make_keyframes(opened),
                            feedback=line.feedback,
                            ledger=ledger,
                            vitals=vitals,
                            log=log,
                        )
                    )
                    await read.wait()
                    await self._wait_last_keyframe(stop)
            outer.cancel_scope.cancel()

    async def _listen(
        self,
        source: ReplaySource,
        line: Line,
        pages: trio.MemorySendChannel[Page],
        *,
        vitals: Vitals,
        read: trio.Event,
        task_status: trio.TaskStatus[Opened | None],
    ) -> None:
        await run_listener(
            source, line, pages, ledger=self._ledger, vitals=vitals, lost=_never, task_status=task_status
        )
        read.set()

    async def _drain_at(self, stop: trio.Event, line: Line, scope: trio.CancelScope) -> None:
        await stop.wait()
        line.wake.drain()
        await trio.sleep(self._settings.service.drain_timeout_s)
        scope.cancel()

    def _make_keyframes(self, opened: Opened) -> Keyframes:
        route = self._route
        return Keyframes(
            opened.mapping.measurement,
            Window(route.window_rows) if self._keeps_window else None,
            interval_s=route.keyframe_interval_s,
            first_flag=random.randrange(FLAGS),  # noqa: S311  (nobody gains by guessing it)
        )

    async def _wait_last_keyframe(self, stop: trio.Event) -> None:
        """Until a keyframe was sent after the last row, if there are any rows to show, or until `stop` is set."""
        if not self._keeps_window or not self.books().acknowledged:
            return
        before = self.books().keyframes
        while self.books().keyframes == before and not stop.is_set():  # noqa: ASYNC110  (a count; nobody rings for it)
            await trio.sleep(LAST_KEYFRAME_LOOK_S)


def _never(lost: Lost) -> None:
    raise AssertionError(f"a table loses nothing: {lost}")
