"""One route: the page that shows how its three stages, two channels and the way back hang together.

    source thread ─▶ listener ──Page──▶ decoder ──Batch──▶ sender ─▶ Grafana
         ▲                                                   │
         └───────────────── Feedback ────────────────────────┘

`Route.run` supervises: any failure cancels the nursery of the three, and after a jittered, capped wait they start
again from the checkpoint, read anew. Nothing of a run outlives it but the books (`Ledger`). A failure of the
operator's making ends the program with one sentence, if nothing has worked yet; afterwards it is retried like any
other, because what was right once can be right again.
"""

from __future__ import annotations

import gc
import random
import time
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger

from trio_bridge.backoff import Backoff
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import RouteSettings, Settings
from trio_bridge.decoder.encoder import Encoder
from trio_bridge.decoder.stage import run_decoder
from trio_bridge.errors import BridgeError, ConfigError, CredentialsRefused, SinkError, SourceError
from trio_bridge.grafana.push import open_push
from trio_bridge.ledger import Cause, Ledger
from trio_bridge.listener.channel_source import ChannelSource
from trio_bridge.listener.modes import MAX_PAGES_AHEAD
from trio_bridge.listener.share import Share
from trio_bridge.listener.source import LEADER_RETRY_S
from trio_bridge.listener.stage import Line, Lost, Opened, Source, SourceStatus, run_listener
from trio_bridge.listener.table_source import TableSource
from trio_bridge.one_failure import one_failure
from trio_bridge.outside import OUTSIDE, Outside
from trio_bridge.postgres.conninfo import resolve
from trio_bridge.postgres.session import LoginRefused
from trio_bridge.records import Batch, Page
from trio_bridge.sender.history import Window
from trio_bridge.sender.keyframes import FLAGS, Keyframes
from trio_bridge.sender.stage import run_sender
from trio_bridge.vitals import Level, Vitals

PAGES_WAITING: Final = 1
"""Pages between listener and decoder; full: they wait in the outlet, which the source bounds to three in all."""

BATCHES_WAITING: Final = 1
"""Batches between decoder and sender; full: the decoder waits, and the source reads no further rows."""


CHANNELS: Final = {"outlet": MAX_PAGES_AHEAD, "pages": PAGES_WAITING, "batches": BATCHES_WAITING}
"""Where pages and batches wait, in the order of their way, and how many may."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a run ended.

    Attributes:
        cause: whose fault it was.
        sentence: what happened and what to do.
        at: monotonic seconds.
    """

    cause: Cause
    sentence: str
    at: float


class Route:
    """A route and its books.

    Args:
        settings: of the whole program.
        route: this one's.
        log: is bound to the route's name here.
        outside: what it meets outside of this program.
        share: of the process; None: this is its only route.

    Attributes:
        name: from the settings.
        ledger: rows over all runs.
        status: what the source does at this moment.
        vitals: how its stages fare.
        is_table: whether it reads a table, or else a NOTIFY channel.
        source: the table's or channel's name, as the settings have it.
        stream: Grafana's stream id.
        failure: the last failure's sentence; empty while all is well.
        last_failure: the same, and it stays; None: no run has failed.
        left: rows that Grafana had not acknowledged when a run failed while it was drained.
        ack_timeout_s: longest silence of Grafana after a ping.
        created_at: monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        route: RouteSettings,
        log: FilteringBoundLogger,
        outside: Outside = OUTSIDE,
        share: Share | None = None,
    ) -> None:
        self.name = route.name
        self.ledger = Ledger()
        self.status = SourceStatus()
        self.vitals = Vitals()
        self.is_table = route.table is not None
        self.source = route.table or f"channel {route.channel}"
        self.stream = route.stream
        self.failure = ""
        self.last_failure: Failure | None = None
        self.left = 0
        self.ack_timeout_s = settings.grafana.ack_timeout_s
        self.created_at = time.monotonic()
        self._settings = settings
        self._route = route
        self._log = log.bind(route=route.name)
        self._outside = outside
        self._share = Share(1) if share is None else share
        self._line: Line | None = None
        self._channels: tuple[trio.MemoryReceiveChannel[Page], trio.MemoryReceiveChannel[Batch]] | None = None
        self._worked = False

    async def run(self, stop: trio.Event) -> None:
        """Deliver until `stop` is set and everything read is acknowledged and checkpointed.

        Raises:
            ConfigError: the operator must act first, and nothing had worked before.
        """
        service = self._settings.service
        backoff = Backoff(service.restart_min_s, service.restart_max_s, random.Random())  # noqa: S311  (jitter)
        while not stop.is_set():
            began = trio.current_time()
            failure = await self._run_once(stop)
            if failure is not None and stop.is_set():
                self.left = self.ledger.statistics().pending
            self.ledger.run_ended(None if failure is None else _cause(failure))
            if failure is None:
                # Drained because of a stop, or given away: then it waits for its next turn.
                continue
            if isinstance(failure, ConfigError | LoginRefused) and not self._worked:
                raise ConfigError(f"route {self.name!r}: {failure}") from None
            backoff.ran_for(trio.current_time() - began)
            wait_s = backoff.next_wait_s(
                refused=isinstance(failure, CredentialsRefused),
                retry_after_s=failure.retry_after_s if isinstance(failure, SinkError) else None,
            )
            if isinstance(failure, SinkError):
                self._share.failing(self.name)
                if self.failure:
                    # Grafana again, and nothing has worked in between: another replica may reach it, and gets the lock.
                    wait_s = max(wait_s, LEADER_RETRY_S[1] + service.restart_min_s)
            self._report(failure, wait_s)
            del failure
            # The run's tasks, and with them its rows, hang together in cycles of exceptions and frames, which the
            # collector would find late: an outage of many short runs would look like a leak (measured: 7 MB a minute).
            # Those of a short run are young, and looking at the young takes less than a millisecond.
            gc.collect(1)
            with trio.move_on_after(wait_s):
                await stop.wait()

    def fillings(self) -> dict[str, Level]:
        """What waits in each of `CHANNELS` at this moment."""
        vitals = self.vitals
        if self._line is not None and self._channels is not None:
            pages, batches = self._channels
            vitals.outlet.set(len(self._line.outlet))
            vitals.pages.set(pages.statistics().current_buffer_used)
            vitals.batches.set(batches.statistics().current_buffer_used)
        return {"outlet": vitals.outlet, "pages": vitals.pages, "batches": vitals.batches}

    def flip_mode(self) -> None:
        """For tests: change the mode as soon as may be; what is delivered must not depend on it."""
        self.status.flip = True
        if self._line is not None:
            self._line.wake.end_wait()

    async def _run_once(self, stop: trio.Event) -> Exception | None:
        """One run; its failure, or None when it was drained."""
        try:
            await self._run_stages(stop)
        # A nursery's group has to be looked into; what is no failure (a cancellation, a signal) goes on its way.
        except BaseException as error:  # noqa: ASYNC103
            failure = one_failure(error) if isinstance(error, BaseExceptionGroup) else error
            if not isinstance(failure, Exception):
                raise
            return failure
        finally:
            self.status.run_ended()
            self.vitals.run_ended()
            self._line = self._channels = None
            self._share.ended(self.name)
        return None

    async def _run_stages(self, stop: trio.Event) -> None:
        self.status.retrying = bool(self.failure)
        attempts = await resolve(self._settings.postgres, self.name)
        line = self._line = Line(self.status)
        source = self._make_source(attempts, line)
        grafana = self._settings.grafana
        page_in, page_out = trio.open_memory_channel[Page](PAGES_WAITING)
        batch_in, batch_out = trio.open_memory_channel[Batch](BATCHES_WAITING)
        self._channels = page_out, batch_out
        async with trio.open_nursery() as outer:
            outer.start_soon(_drain_at, stop, line)
            async with trio.open_nursery() as stages:
                opened = await stages.start(
                    partial(
                        run_listener,
                        source,
                        line,
                        page_in,
                        ledger=self.ledger,
                        vitals=self.vitals,
                        lost=self._lost,
                        run_source=self._outside.run_source,
                    )
                )
                if opened is not None:
                    self._opened()
                    encoder = Encoder(opened.mapping)
                    stages.start_soon(
                        partial(
                            run_decoder,
                            page_out,
                            batch_in,
                            encoder=encoder,
                            ledger=self.ledger,
                            vitals=self.vitals,
                            log=self._log,
                            max_age_s=self._route.max_age_s,
                        )
                    )
                    await stages.start(
                        partial(
                            run_sender,
                            batch_out,
                            connect=partial(
                                open_push, grafana, opened.mapping.stream, dial=self._outside.dial
                            ),
                            interval_s=grafana.message_interval_ms / 1000,
                            ack_timeout_s=grafana.ack_timeout_s,
                            max_unacked_bytes=grafana.max_unacked_bytes,
                            keyframes=self._make_keyframes(opened, encoder),
                            feedback=line.feedback,
                            ledger=self.ledger,
                            vitals=self.vitals,
                            log=self._log,
                            monotonic=time.monotonic,
                        )
                    )
                    self._connected()
            outer.cancel_scope.cancel()

    def _make_source(self, attempts: list[str], line: Line) -> Source:
        postgres, grafana = self._settings.postgres, self._settings.grafana
        if self._route.table is None:
            return ChannelSource(
                postgres,
                self._route,
                attempts=attempts,
                line=line,
                share=self._share,
                log=self._log,
                open_session=self._outside.open_session,
            )
        return TableSource(
            postgres,
            self._route,
            parse_table(self._route.table),
            attempts=attempts,
            interval_s=grafana.message_interval_ms / 1000,
            line=line,
            share=self._share,
            log=self._log,
            open_session=self._outside.open_session,
        )

    def _make_keyframes(self, opened: Opened, encoder: Encoder) -> Keyframes:
        route = self._route
        keyframes = Keyframes(
            opened.mapping.measurement,
            Window(route.window_rows) if route.window_rows else None,
            interval_s=route.keyframe_interval_s,
            first_flag=random.randrange(FLAGS),  # noqa: S311  (nobody gains by guessing it)
        )
        shown = encoder.encode(opened.history)
        keyframes.prepare(shown)
        keyframes.add(shown)
        return keyframes

    def _opened(self) -> None:
        """The source leads and is ready to deliver."""
        if self._worked and self._route.table is None:
            # Nobody listened between the two runs.
            self._lost(Lost())
        if not self._worked and self._route.tags and self._route.history_rows:
            self._log.warning(
                "history_off",
                reason="with tags, a message that replaces a panel's history would erase its labels",
            )
        self._worked = True

    def _connected(self) -> None:
        """And Grafana takes what it delivers."""
        self._share.works(self.name)
        if self.failure:
            self._log.info("recovered", after=self.failure)
            self.failure = ""

    def _lost(self, lost: Lost) -> None:
        self.ledger.gap()
        self._log.warning("gap", rows=lost.rows or "unknown", reason="a channel route delivers at most once")

    def _report(self, failure: Exception, wait_s: float) -> None:
        sentence = str(failure)
        if isinstance(failure, BridgeError):
            # One line a change of state: the same failure again is no news.
            if sentence != self.failure:
                self._log.warning("route_failed", reason=sentence, retry_in_s=round(wait_s, 2))
        else:
            self._log.error("route_crashed", exc_info=failure, retry_in_s=round(wait_s, 2))
        self.failure = sentence or type(failure).__name__
        self.last_failure = Failure(_cause(failure), self.failure, time.monotonic())


def _cause(failure: Exception) -> Cause:
    match failure:
        case CredentialsRefused():
            return "grafana_credentials"
        case SinkError():
            return "grafana"
        case LoginRefused():
            return "postgres_login"
        case SourceError():
            return "postgres"
        case ConfigError():
            return "configuration"
        case _:
            return "bug"


async def _drain_at(stop: trio.Event, line: Line) -> None:
    await stop.wait()
    line.wake.drain()
