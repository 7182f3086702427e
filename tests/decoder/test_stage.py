"""The decoder stage between its two channels: order, marks, books, end, backpressure and a log that stays readable."""

import time
from collections.abc import Callable

import pytest
import structlog
import trio
from structlog.testing import CapturedCall, CapturingLogger
from structlog.typing import FilteringBoundLogger
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_bridge.config.settings import RouteSettings
from trio_bridge.decoder.encoder import Encoder
from trio_bridge.decoder.mapping import map_channel
from trio_bridge.decoder.stage import RejectionLog, run_decoder
from trio_bridge.ledger import Ledger
from trio_bridge.records import Batch, Page, Rejection
from trio_bridge.vitals import Vitals

GOOD = b'{"timestamp":1700000000,"value":1.5}'
GOOD_LINE = b"m value=1.5 1700000000000000000"
INFINITE = b'{"timestamp":1700000000,"value":"Infinity"}'


class Stage:
    """A decoder with both of its neighbours' ends, its books and what it logs."""

    def __init__(
        self, *, room: int = 8, max_age_s: float | None = None, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._max_age_s = max_age_s
        self._wall_ns = wall_ns
        self.pages, self._from_listener = trio.open_memory_channel[Page](8)
        self._to_sender, self.batches = trio.open_memory_channel[Batch](room)
        self.ledger = Ledger()
        self.logger = CapturingLogger()

    async def run(self) -> None:
        await run_decoder(
            self._from_listener,
            self._to_sender,
            encoder=Encoder(map_channel(RouteSettings(name="r", channel="m"))),
            ledger=self.ledger,
            vitals=Vitals(),
            log=bound(self.logger),
            max_age_s=self._max_age_s,
            wall_ns=self._wall_ns,
        )

    async def send(self, mark: int, *rows: bytes) -> None:
        self.ledger.saw(len(rows))
        await self.pages.send(Page(mark, rows, [f"key {n}" for n in range(len(rows))], 0.0))

    async def rest(self) -> list[Batch]:
        return [batch async for batch in self.batches]


def bound(logger: CapturingLogger) -> FilteringBoundLogger:
    wrapped: FilteringBoundLogger = structlog.wrap_logger(
        logger, processors=[], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return wrapped


def said(logger: CapturingLogger, event: str) -> list[CapturedCall]:
    return [call for call in logger.calls if call.kwargs["event"] == event]


async def test_every_page_becomes_a_batch_in_order() -> None:
    """Pages go through one for one with their marks, those without a line too; then the stage ends by itself."""
    stage = Stage()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.run)
            await stage.send(1, GOOD, b"x", GOOD)
            await stage.send(2, b"x")
            await stage.send(3)
            await stage.send(4, GOOD)
            await stage.pages.aclose()
            batches = await stage.rest()
    assert [(batch.mark, list(batch.lines)) for batch in batches] == [
        (1, [GOOD_LINE, GOOD_LINE]),
        (2, []),
        (3, []),
        (4, [GOOD_LINE]),
    ]


async def test_the_books_know_what_was_rejected_and_nulled() -> None:
    """Each rejected row leaves the pending ones by its reason before its batch can be acknowledged."""
    stage = Stage()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.run)
            await stage.send(1, GOOD, b"x", INFINITE, b'{"value":1}', b"y", INFINITE)
            (batch,) = [await stage.batches.receive()]
            books = stage.ledger.statistics()
            assert books.rejected == {"not_json": 2, "time_missing": 1}
            assert books.nulled == {"infinity": 2}
            assert books.pending == len(batch.lines) == 3
            assert books.balanced
            await stage.pages.aclose()


async def test_rejected_rows_are_logged_by_key() -> None:
    """A refused row is one warning with reason, key and detail, and without its content."""
    stage = Stage()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.run)
            await stage.send(1, GOOD, b"secret")
            await stage.pages.aclose()
    (call,) = stage.logger.calls
    assert call.method_name == "warning"
    assert call.kwargs == {
        "event": "row_rejected",
        "reason": "not_json",
        "key": "key 1",
        "detail": "the payload is not JSON",
    }


async def test_rows_older_than_max_age_are_rejected_by_the_wall_clock() -> None:
    """A page is held against the clock as it is taken in; stale rows are in the books, and within bounds in the log."""
    clock = iter([1_700_000_060 * 10**9, 1_700_000_061 * 10**9])
    stage = Stage(max_age_s=60.5, wall_ns=lambda: next(clock))
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.run)
            await stage.send(1, GOOD)
            await stage.send(2, *[GOOD] * 20)
            await stage.pages.aclose()
            assert [len(batch.lines) for batch in await stage.rest()] == [1, 0]
    books = stage.ledger.statistics()
    assert books.rejected == {"stale": 20}
    assert books.pending == 1
    assert len(said(stage.logger, "row_rejected")) == RejectionLog.LINES_PER_REASON
    assert [call.kwargs["count"] for call in said(stage.logger, "rows_rejected")] == [15]


async def test_a_sender_that_stops_stops_the_intake() -> None:
    """With the channel to the sender full, one page is in hand and the others stay where they are."""
    stage = Stage(room=0)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.run)
            for mark in range(1, 5):
                await stage.send(mark, GOOD)
            await wait_all_tasks_blocked()
            assert stage.pages.statistics().current_buffer_used == 3
            await stage.pages.aclose()
            assert [batch.mark for batch in await stage.rest()] == [1, 2, 3, 4]


async def test_a_sender_that_is_gone_ends_the_stage_with_an_error() -> None:
    """Lines that nobody takes are not dropped in silence."""
    stage = Stage()
    with trio.fail_after(5):
        await stage.batches.aclose()
        await stage.send(1, GOOD)
        with pytest.raises(trio.BrokenResourceError):
            await stage.run()
        with pytest.raises(trio.BrokenResourceError):
            await stage.send(2, GOOD)


async def test_a_cancelled_stage_closes_its_ends_and_says_what_it_owes() -> None:
    """Cancelled in the middle of a flood it still logs the number, and both neighbours see its end."""
    stage = Stage()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.run)
            await stage.send(1, *[b"x"] * 100)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        (owed,) = said(stage.logger, "rows_rejected")
        assert owed.kwargs["count"] == 95
        assert len(await stage.rest()) == 1
        with pytest.raises(trio.BrokenResourceError):
            await stage.send(2, GOOD)


async def test_a_flood_of_bad_payloads_is_a_number_in_the_log(autojump_clock: MockClock) -> None:
    """Of 100,000 refused rows five are logged; the number of the others follows in a second, without another page."""
    del autojump_clock
    stage = Stage()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.run)
            for mark in range(100):
                await stage.send(mark, *[b"x"] * 1_000)
                await stage.batches.receive()
            assert len(stage.logger.calls) == RejectionLog.LINES_PER_REASON
            await trio.sleep(RejectionLog.WINDOW_S + 0.1)
            assert [call.kwargs for call in stage.logger.calls[RejectionLog.LINES_PER_REASON :]] == [
                {"event": "rows_rejected", "reason": "not_json", "count": 99_995}
            ]
            await stage.pages.aclose()
    assert len(stage.logger.calls) == RejectionLog.LINES_PER_REASON + 1


@pytest.fixture
def flood() -> tuple[CapturingLogger, RejectionLog, Callable[[str, float, int], None]]:
    logger = CapturingLogger()
    rejected = RejectionLog(bound(logger))

    def add(reason: str, now: float, times: int) -> None:
        for _ in range(times):
            rejected.add(Rejection(reason, "key", "detail"), now)

    return logger, rejected, add


def test_each_reason_has_its_own_lines(flood) -> None:
    """A flood of one reason does not hide another one."""
    logger, _, add = flood
    add("a", 0.0, 50)
    add("b", 0.5, 2)
    assert [call.kwargs["reason"] for call in said(logger, "row_rejected")] == ["a"] * 5 + ["b"] * 2


def test_each_second_has_its_own_lines(flood) -> None:
    """With the next second the number of the last one is logged first, and rows are logged one by one again."""
    logger, _, add = flood
    add("a", 0.0, 7)
    add("a", 1.0, 1)
    assert [call.kwargs.get("count", "row") for call in logger.calls] == ["row"] * 5 + [2, "row"]


def test_nothing_is_due_while_every_row_has_its_line(flood) -> None:
    """Only rows that were not logged make the stage wake up for them, at the end of their second."""
    logger, rejected, add = flood
    add("a", 3.0, 5)
    assert rejected.due_at == float("inf")
    add("a", 3.5, 1)
    assert rejected.due_at == 4.0
    rejected.sum_up(3.9)
    assert not said(logger, "rows_rejected")
    rejected.sum_up(4.0)
    assert [call.kwargs["count"] for call in said(logger, "rows_rejected")] == [1]
    assert rejected.due_at == float("inf")
