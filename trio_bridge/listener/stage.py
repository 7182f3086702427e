"""The listener's Trio side: runs a source in a thread of its own and hands its pages to the decoder.

A *source* (`table_source.TableSource`, `channel_source.ChannelSource`) owns one connection to Postgres and all that is
decided about it; it runs in one worker thread, opens and closes the connection there, and speaks to Trio only through a
`Line`: its `Outlet` (pages out), its `Wake` (stop, look again) and its `Feedback` (what the sender can take).

`run_listener` ends when the source does: after a drain, or within 100 ms of cancellation, with no session left behind.
It never blocks the thread: what waits for the decoder is bounded by the source, which asks for rows only on demand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import trio

from trio_bridge.decoder.mapping import Mapping
from trio_bridge.feedback import Feedback
from trio_bridge.handover import Outlet, Wake, hand_on
from trio_bridge.ledger import Ledger
from trio_bridge.listener.modes import Mode
from trio_bridge.listener.own_thread import in_a_thread
from trio_bridge.records import Page
from trio_bridge.vitals import Vitals


@dataclass(frozen=True, slots=True)
class Opened:
    """The source leads its route and is ready to deliver.

    Attributes:
        mapping: what its rows become.
        history: rows that were delivered before, oldest first, for the panel; they are not delivered again.
    """

    mapping: Mapping
    history: Page


@dataclass(frozen=True, slots=True)
class Lost:
    """A channel route was deaf, or had no room: notifications may be lost, or `rows` certainly are."""

    rows: int = 0


class Closed:
    """No page will follow."""


Item = Opened | Page | Lost | Closed


@dataclass(slots=True)
class SourceStatus:
    """What a source does at this moment; written by its thread, read by anybody.

    Attributes:
        phase: ``connecting``, ``standby`` (another replica leads), ``running``, ``draining`` or ``stopped``.
        mode: how it learns of rows.
        mode_changes: since the program began.
        statements: sent to Postgres since the program began.
        answered_at: when Postgres last answered a statement, monotonic seconds; None: never yet.
        elsewhere: whether another replica led the route when we last asked.
        complete_at: everything committed up to this monotonic second is acknowledged; stays when a run ends; None: not
            yet in this program, or no table route.
        unsaved_since: since when acknowledged rows are not in the checkpoint, monotonic seconds; None: all are.
        queue_usage: how full the cluster's notification queue is, 0 to 1; None: not asked yet.
        held_since: since when the oldest transaction that writes is known to be open; None: none is, or not asked.
        relistened: how often our LISTEN was gone and had to be said again.
        timeline: of the cluster that we last read from, or None; another one means that a standby was promoted.
        retrying: the run before this one failed: what was said at its start is no news.
        flip: set by tests: change the mode as soon as may be.
    """

    phase: str = "stopped"
    mode: Mode = Mode.POLL
    mode_changes: int = 0
    statements: int = 0
    answered_at: float | None = None
    elsewhere: bool = False
    complete_at: float | None = None
    unsaved_since: float | None = None
    queue_usage: float | None = None
    held_since: float | None = None
    relistened: int = 0
    timeline: int | None = None
    retrying: bool = False
    flip: bool = False

    def run_ended(self) -> None:
        """The session is gone, and with it what it told of this moment."""
        self.phase = "stopped"
        self.unsaved_since = self.queue_usage = self.held_since = None


@dataclass(slots=True)
class Line:
    """All that passes between a source's thread and Trio. *Owns* the socket pairs; lives for one run."""

    status: SourceStatus
    wake: Wake = field(default_factory=Wake)
    outlet: Outlet[Item] = field(default_factory=Outlet)
    feedback: Feedback = field(init=False)

    def __post_init__(self) -> None:
        self.feedback = Feedback(self.wake.wake)

    def close(self) -> None:
        """After the thread has ended."""
        self.outlet.close()
        self.wake.close()


class Source(Protocol):
    """What runs in the thread."""

    def run(self) -> None:
        """Deliver until drained or aborted; returns then, raises a `BridgeError` when it cannot go on."""


RunSource = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs what blocks to its end, whatever is cancelled meanwhile, beside Trio's loop; raises what it raised."""


async def run_listener(
    source: Source,
    line: Line,
    pages: trio.MemorySendChannel[Page],
    *,
    ledger: Ledger,
    vitals: Vitals,
    lost: Callable[[Lost], None],
    run_source: RunSource = in_a_thread,
    task_status: trio.TaskStatus[Opened | None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run `source` and send its pages on.

    Reports what the source `Opened` with once it leads its route; None if it was drained before that.

    Raises:
        BridgeError: what the source raised.
    """
    started = False
    ended = trio.Event()

    async def run_thread() -> None:
        await run_source(source.run)
        ended.set()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_thread)
            try:
                async with pages:
                    while not isinstance(item := await line.outlet.wait_get(), Closed):
                        match item:
                            case Page():
                                vitals.outlet.set(1 + len(line.outlet))
                                ledger.saw(len(item.rows))
                                await hand_on(pages, item)
                                vitals.pages.set(pages.statistics().current_buffer_used)
                            case Opened():
                                started = True
                                task_status.started(item)
                            case Lost():
                                lost(item)
                if not started:
                    task_status.started(None)
                # Drained pages are still to be acknowledged and checkpointed.
                await ended.wait()
            except BaseException:
                # Cancelled, or the decoder is gone: the thread has nobody left to work for.
                line.wake.abort()
                raise
    finally:
        line.close()
