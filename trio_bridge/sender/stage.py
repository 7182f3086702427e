"""The last stage of a route: batches in, messages on Grafana's push socket out, acknowledgements back.

    batches ─▶ take in ─▶ outbox ─▶ pump ─▶ socket          drain: reads what comes back
                                     │        ▲
                                  in flight ─ ping ─▶ pong ⇒ feedback, ledger

`run_sender` owns one connection for one run of the route and the tasks around it. It ends in one of three
ways: the channel ends, then the rest is sent without pace, every acknowledgement awaited, and the socket
closed politely; the connection fails or falls silent, then one `SinkError` says so; it is cancelled, then the
connection is cut at once. It never connects twice, never sends again what it has sent, and never has more
than `max_unacked_bytes` and one message unacknowledged, or `TAKE_BELOW_BYTES` and one batch waiting.
"""

from __future__ import annotations

import math
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger

from trio_bridge.errors import SinkError
from trio_bridge.feedback import Feedback
from trio_bridge.grafana.push import PushConnection
from trio_bridge.ledger import Ledger
from trio_bridge.one_failure import one_failure
from trio_bridge.records import Batch
from trio_bridge.sender.alarm import Alarm
from trio_bridge.sender.congestion import CongestionWindow
from trio_bridge.sender.inflight import InFlight, Ping
from trio_bridge.sender.keyframes import Keyframes
from trio_bridge.sender.pace import MAX_MESSAGE_BYTES, Message, Outbox
from trio_bridge.vitals import Vitals

# One full message: while it is written the next batch is taken in, and what waits beyond it waits in the
# channel, then in the table.
TAKE_BELOW_BYTES: Final = MAX_MESSAGE_BYTES

# Grafana asks every 25 s and cuts 2.78 s later unless it has seen a pong; any pong counts (Grafana:
# pkg/services/live/ pushws). 10 s forgives one that is late, and keeps proxies awake that cut idle
# connections after 60 s (nginx).
KEEPALIVE_S: Final = 10.0

# Between two pings while little is unacknowledged and the channel goes on: without a pace each message would have its
# own, which costs as much again as the message. What is acknowledged so much later is saved a second later anyway.
PING_GAP_S: Final = 0.05

# Two: while one ping travels the next message need not wait for its own, and a lost pong is made good by the
# next one's. More would only add pings: each costs about as much as a message.
PINGS_IN_FLIGHT: Final = 2


async def run_sender(
    batches: trio.MemoryReceiveChannel[Batch],
    *,
    connect: Callable[[], AbstractAsyncContextManager[PushConnection]],
    interval_s: float,
    ack_timeout_s: float,
    max_unacked_bytes: int,
    keyframes: Keyframes,
    feedback: Feedback,
    ledger: Ledger,
    vitals: Vitals,
    log: FilteringBoundLogger,
    monotonic: Callable[[], float] = time.monotonic,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Send all `batches` to Grafana; return when all are acknowledged.

    Args:
        batches: from the decoder; its end is the end of the run.
        connect: opens the push socket (`trio_bridge.grafana.push.open_push` with its arguments).
        interval_s: least time between two messages that are not full, seconds; 0: none.
        ack_timeout_s: a ping unanswered, or a message unwritten, for so long: the connection is dead.
        max_unacked_bytes: nothing is written while so much is not acknowledged (less over a slow line).
        keyframes: of this route and connection; they decorate every message.
        feedback: told what can be taken, what is sent, what is acknowledged.
        ledger: told every message and every acknowledged row.
        vitals: told how full things are and how long they took, once a message.
        log: one line when connected.
        monotonic: the clock of the other side of `feedback`, seconds.
        task_status: started when the socket is open.

    Raises:
        ConfigError: see `trio_bridge.grafana.push.open_push`.
        SinkError: Grafana refused, failed or fell silent; the route must start again from its checkpoint.
    """
    async with batches, connect() as connection:
        log.info("grafana_connected", peer=connection.peer)
        vitals.connected = True
        vitals.grafana_answered_at = monotonic()
        task_status.started()
        sender = _Sender(
            connection,
            interval_s=interval_s,
            ack_timeout_s=ack_timeout_s,
            max_unacked_bytes=max_unacked_bytes,
            keyframes=keyframes,
            feedback=feedback,
            ledger=ledger,
            vitals=vitals,
            log=log,
            monotonic=monotonic,
        )
        await sender.run(batches)


class _Sender:
    """One connection's tasks and what they share."""

    def __init__(
        self,
        connection: PushConnection,
        *,
        interval_s: float,
        ack_timeout_s: float,
        max_unacked_bytes: int,
        keyframes: Keyframes,
        feedback: Feedback,
        ledger: Ledger,
        vitals: Vitals,
        log: FilteringBoundLogger,
        monotonic: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._ack_timeout_s = ack_timeout_s
        self._congestion = CongestionWindow(max_unacked_bytes, ack_timeout_s)
        self._keyframes = keyframes
        self._feedback = feedback
        self._ledger = ledger
        self._vitals = vitals
        self._log = log
        self._monotonic = monotonic
        self._connected_at = trio.current_time()
        # Trio's clock starts anywhere; the listener's thread has the system's.
        self._clock_offset_s = monotonic() - self._connected_at
        self._outbox = Outbox(interval_s)
        self._in_flight = InFlight(nonce=secrets.token_bytes(8))
        self._pinged_at = -math.inf
        # When each message was written that no pong has covered.
        self._written_at: deque[float] = deque()
        self._ended = False
        self._pump_wakes = trio.lowlevel.ParkingLot()
        self._pump_alarm = Alarm(self._pump_wakes.unpark_all)
        # Whether somebody writes, and until when it may take.
        self._writing = False
        self._write_until = math.inf
        self._write_alarm = Alarm(self._look_at_write)
        self._room_in_outbox = trio.lowlevel.ParkingLot()
        self._pinger_wakes = trio.lowlevel.ParkingLot()

    async def run(self, batches: trio.MemoryReceiveChannel[Batch]) -> None:
        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._drain)
                nursery.start_soon(self._take_in, batches)
                nursery.start_soon(self._pump_alarm.run)
                nursery.start_soon(self._write_alarm.run)
                nursery.start_soon(self._keep_alive)
                nursery.start_soon(self._watch, nursery)
                for _ in range(PINGS_IN_FLIGHT):
                    nursery.start_soon(self._ping_what_is_written)
                self._tell_listener()
                await self._pump()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            failure = one_failure(group)
        if failure is not None:
            raise failure

    async def _take_in(self, batches: trio.MemoryReceiveChannel[Batch]) -> None:
        async for batch in batches:
            self._keyframes.prepare(batch)
            # A keyframe goes between two messages while no row waits, so one that is due holds the next batch back.
            while self._keyframes.due_at(self._room()) <= trio.current_time():
                await self._write_due()
                if self._keyframes.due_at(self._room()) <= trio.current_time():
                    await self._room_in_outbox.park()
            self._keyframes.add(batch)
            self._outbox.add(batch)
            self._vitals.outbox_bytes.set(self._outbox.waiting_bytes)
            # At once and in this task: to wake the pump for it costs a turn of Trio's loop (measured: 45 µs). What the
            # listener was told before still holds: it has nothing to read while a page of its waits here.
            await self._write_due()
            self._tell_listener()
            while self._outbox.waiting_bytes >= TAKE_BELOW_BYTES:
                await self._room_in_outbox.park()
        self._ended = True
        self._pinger_wakes.unpark_all()
        self._tell_listener()
        self._pump_wakes.unpark_all()

    async def _pump(self) -> None:
        """Write what may go later than it was taken in; return when the channel has ended and all is acknowledged."""
        while True:
            await self._write_due()
            if self._ended and not self._outbox and self._in_flight.settled:
                return
            await self._pump_wakes.park()

    async def _write_due(self) -> None:
        """Write what may go now, unless another task does, which then goes on with this; set the alarm for the rest."""
        if self._writing:
            return
        self._writing = True
        try:
            while await self._write_next():
                pass
        finally:
            self._writing = False

    async def _write_next(self) -> bool:
        """Write the next message if it may go now; else set the alarm for when it may."""
        now = trio.current_time()
        room = self._room()
        due_at = self._outbox.due_at(now, room)
        keyframe_at = self._keyframes.due_at(room) if due_at == math.inf and not self._ended else math.inf
        if not room:
            due_at = keyframe_at = math.inf
        if due_at <= now or (self._ended and due_at < math.inf):
            message = self._outbox.take(now, room)
            if message.data:
                newest_ns = _time_of_last_line(message.data)
                message = replace(message, data=self._keyframes.decorated(message.data))
                await self._write(message)
                self._took(message, newest_ns)
            else:
                await self._write(message)
        elif keyframe_at <= now:
            await self._write(Message(self._keyframes.take(now, room), rows=0, completed_mark=None))
            self._ledger.keyframe()
        else:
            self._pump_alarm.set(min(due_at, keyframe_at))
            return False
        return True

    async def _write(self, message: Message) -> None:
        if message.data:
            self._write_until = trio.current_time() + self._ack_timeout_s
            self._write_alarm.set(self._write_until)
            await self._connection.send(message.data)
            self._write_until = math.inf
            self._ledger.sent(len(message.data))
        told = self._in_flight.wants_ping
        self._in_flight.wrote(message)
        self._written_at.append(trio.current_time())
        self._vitals.unacknowledged_bytes.set(self._in_flight.unacknowledged_bytes)
        if not told or self._ping_at() == -math.inf:
            self._pinger_wakes.unpark()
        self._room_in_outbox.unpark_all()
        # In this order, so that who waits for the mark finds the time of the next message already set.
        self._tell_listener()
        if message.completed_mark is not None:
            self._feedback.sent(message.completed_mark)

    def _look_at_write(self) -> None:
        """Fail if a message stays unwritten."""
        if self._write_until <= trio.current_time():
            raise SinkError(
                f"{self._connection.peer} has taken no data for {self._ack_timeout_s:g} s: is Grafana hung?"
            )
        self._write_alarm.set(self._write_until)

    def _took(self, message: Message, newest_ns: int) -> None:
        """Note how long the rows of a message that is written were on their way."""
        self._vitals.outbox_bytes.set(self._outbox.waiting_bytes)
        # A writer's clock may run ahead of ours.
        self._vitals.row_age_s.observe(max(0.0, (time.time_ns() - newest_ns) / 1e9))
        if message.rung_at is not None:
            self._vitals.bell_to_push_s.observe(self._monotonic() - message.rung_at)

    async def _ping_what_is_written(self) -> None:
        while True:
            while (ping_at := self._ping_at()) > trio.current_time():
                with trio.move_on_at(ping_at):
                    await self._pinger_wakes.park()
            await self._ping()

    def _ping_at(self) -> float:
        """From when the next ping may go; ``math.inf``: what is written needs none."""
        if not self._in_flight.wants_ping:
            return math.inf
        pressing = self._ended or 2 * self._in_flight.unacknowledged_bytes >= self._congestion.bytes
        return -math.inf if pressing else self._pinged_at + PING_GAP_S

    async def _ping(self) -> None:
        before_it = self._in_flight.unacknowledged_bytes
        self._pinged_at = trio.current_time()
        ping = self._in_flight.ping(self._pinged_at)
        await self._connection.ping(ping.payload)
        self._congestion.answered(before_it, trio.current_time() - ping.asked_at)
        self._acknowledge(ping)

    def _acknowledge(self, ping: Ping) -> None:
        now = trio.current_time()
        proven = self._in_flight.answered(ping)
        for _ in range(proven.messages):
            self._vitals.push_to_ack_s.observe(now - self._written_at.popleft())
        self._vitals.unacknowledged_bytes.set(self._in_flight.unacknowledged_bytes)
        self._vitals.grafana_answered_at = self._monotonic()
        if proven.rows:
            self._ledger.acknowledged(proven.rows)
        if proven.mark is not None:
            self._feedback.acknowledged(proven.mark)
        self._tell_listener()
        self._pump_wakes.unpark_all()
        # A keyframe for which the window was large enough may not be due in a smaller one.
        self._room_in_outbox.unpark_all()

    async def _watch(self, nursery: trio.Nursery) -> None:
        """Fail if a ping stays unanswered."""
        half_s = self._ack_timeout_s / 2
        while True:
            waits_since = self._in_flight.waits_since
            if waits_since == math.inf:
                # A ping made meanwhile is not older than this sleep is long.
                await trio.sleep(half_s)
                continue
            await trio.sleep_until(waits_since + half_s)
            if self._in_flight.waits_since != waits_since:
                continue
            # One pong may be lost where all is well: Grafana's WebSocket library gives up a pong that it
            # cannot write within a second. A later pong answers both, and if this program itself was held up,
            # it gets the time to read what has come.
            nursery.start_soon(self._connection.ping, secrets.token_bytes(16))
            await trio.sleep(half_s)
            if self._in_flight.waits_since == waits_since:
                raise SinkError(
                    f"{self._connection.peer} has not answered a ping for {self._ack_timeout_s:g} s: is Grafana hung?"
                )

    async def _keep_alive(self) -> None:
        """Show Grafana that we live, and see whether it does, when nothing else does."""
        while True:
            await trio.sleep(KEEPALIVE_S)
            await self._connection.pong()
            if self._in_flight.waits_since == math.inf:
                await self._ping()

    async def _drain(self) -> None:
        """Read what comes, so that pings are answered and the end is seen; raises at the end."""
        unexpected = 0
        while True:
            await self._connection.receive()
            unexpected += 1
            if unexpected == 1:
                self._log.warning(
                    "grafana_sent_a_message", peer=self._connection.peer, detail="ignored, as all more"
                )

    def _room(self) -> int:
        """Bytes that the next message may have; 0: none may go."""
        return self._congestion.room(self._in_flight.unacknowledged_bytes)

    def _tell_listener(self) -> None:
        """Say from when a message could take what a delta would find now."""
        busy = self._ended or bool(self._outbox) or not self._room()
        free_at = math.inf if busy else max(self._outbox.next_at, self._connected_at) + self._clock_offset_s
        self._feedback.can_take_from(free_at)


def _time_of_last_line(data: bytes) -> int:
    """Nanoseconds since 1970: what a line ends in (`trio_bridge.decoder.encoder`)."""
    return int(data[data.rindex(b" ") :])
