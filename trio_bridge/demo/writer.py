"""The demo's writers: rows into `live_metrics` at a constant rate, whatever the database does meanwhile.

Open loop: a row is due at its instant (`trio_bridge.demo.schedule`), not when the last one is done. Rows that
became due while an insert ran, or while the server was away, go together in the next statement; none is left
out.

What was committed is what the server said it had committed. An insert whose connection broke before the
answer may or may not have happened: its rows are *uncertain*, are not written again, and only the table can
tell. Any other refusal by the database is a fault of the demo, and ends it.

Each writer is one thread with one psycopg connection, which it opens, opens again and closes itself; `run`
ends when `stop` was called or it is cancelled, and each writer has finished the statement it was in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import psycopg
import trio

from trio_bridge.demo.schedule import Schedule

# Least time between two statements of a writer. Guess: 200 statements a second look continuous and leave the
# demo's two cores to the bridge; above that rate rows go several to a statement.
TICK_S = 0.005

# Most rows in one statement: after an outage the backlog comes in such steps. Guess.
MAX_ROWS = 1_000

# Wait before a refused connection is tried again; the server is being restarted, and waited for.
RECONNECT_S = 0.1

_INSERT = """
    INSERT INTO public.live_metrics ("timestamp", value, sensor)
    SELECT 'epoch'::timestamptz + r.us * interval '1 microsecond', r.value, r.sensor
    FROM unnest(%s::bigint[], %s::float8[], %s::text[]) AS r (us, value, sensor)
"""


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """A moment of a `Writer`; rows, but for the last two.

    Attributes:
        committed: the server has confirmed them.
        uncertain: sent, and the connection broke before the answer.
        behind: due and not yet sent.
        reconnects: connections opened again after one broke.
        connected: writers that have a connection now.
    """

    committed: int
    uncertain: int
    behind: int
    reconnects: int
    connected: int


class Writer:
    """Writes the rows of a schedule with several connections at once."""

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection],
        schedule: Schedule,
        *,
        writers: int = 1,
        committed: Callable[[Sequence[int], float], None] = lambda _numbers, _at: None,
    ) -> None:
        """Prepares; nothing is written before `run`.

        Args:
            connect: opens a connection in autocommit mode; called in the writers' threads.
            schedule: which rows, and when.
            writers: how many connections share the rows.
            committed: told the numbers of each committed statement and the monotonic second at which the
                server
                confirmed them; called in the writers' threads.
        """
        self._connect = connect
        self._schedule = schedule
        self._writers = writers
        self._report = committed
        self._stop = trio.Event()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._started_at: float | None = None
        self._committed = 0
        self._uncertain = 0
        self._reconnects = 0
        self._connected = 0

    async def run(self) -> None:
        """Writes until `stop` is called or it is cancelled.

        Raises:
            psycopg.Error: the database refused an insert while the connection was in order.
        """
        self._started_at = time.monotonic()
        limiter = trio.CapacityLimiter(self._writers)
        async with trio.open_nursery() as nursery:
            for index in range(self._writers):
                nursery.start_soon(partial(trio.to_thread.run_sync, self._write, index, limiter=limiter))
            # A thread is not cancelled but told; so an error in one of them ends this wait, and then the
            # others.
            try:
                await self._stop.wait()
            finally:
                self._stopped.set()

    def stop(self) -> None:
        """Ends `run` after the statements under way; rows that were due and not sent stay unwritten."""
        self._stop.set()

    def statistics(self) -> WriterStatistics:
        """The counts at this moment."""
        with self._lock:
            due = 0
            if self._started_at is not None and not self._stopped.is_set():
                due = self._schedule.due(time.monotonic() - self._started_at)
            return WriterStatistics(
                committed=self._committed,
                uncertain=self._uncertain,
                behind=max(0, due - self._committed - self._uncertain),
                reconnects=self._reconnects,
                connected=self._connected,
            )

    def _write(self, index: int) -> None:
        """One writer: every row whose number leaves `index` when divided by the number of writers."""
        number = index
        while not self._stopped.is_set():
            try:
                connection = self._connect()
            except psycopg.OperationalError:
                self._stopped.wait(RECONNECT_S)
                continue
            with self._lock:
                self._connected += 1
            try:
                number = self._write_until_broken(connection, number)
            finally:
                connection.close()
                with self._lock:
                    self._connected -= 1

    def _write_until_broken(self, connection: psycopg.Connection, number: int) -> int:
        """Writes from row `number` on; returns the first row it has not sent when told to stop or cut off."""
        assert self._started_at is not None
        while not self._stopped.is_set():
            elapsed_s = time.monotonic() - self._started_at
            numbers = range(number, self._schedule.due(elapsed_s), self._writers)[:MAX_ROWS]
            if not numbers:
                self._stopped.wait(max(TICK_S, self._schedule.due_at(number) - elapsed_s))
                continue
            number = numbers[-1] + self._writers
            try:
                self._insert(connection, numbers)
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
                with self._lock:
                    self._uncertain += len(numbers)
                    self._reconnects += 1
                return number
            at = time.monotonic()
            with self._lock:
                self._committed += len(numbers)
            self._report(numbers, at)
            self._stopped.wait(TICK_S)
        return number

    def _insert(self, connection: psycopg.Connection, numbers: Sequence[int]) -> None:
        rows = [self._schedule.row(number) for number in numbers]
        connection.execute(
            _INSERT,
            ([row.time_us for row in rows], [row.value for row in rows], [row.sensor for row in rows]),
        )
