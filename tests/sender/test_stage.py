"""The sender against a strict Live stand-in: order, pace, acknowledgements, and each way in which it ends."""

import math
import socket
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest
import structlog
import trio
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from wsproto.connection import Connection, ConnectionType
from wsproto.events import Ping

import trio_bridge.sender.congestion
import trio_bridge.sender.stage
from tests.grafana.raw_peer import accept, listen
from tests.waiting import wait_until
from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import CredentialsRefused, SinkError
from trio_bridge.feedback import Feedback
from trio_bridge.grafana.push import PushConnection, open_push
from trio_bridge.grafana.stream import dial_tcp
from trio_bridge.ledger import Ledger
from trio_bridge.live.auth import new_token
from trio_bridge.live.server import LiveServer
from trio_bridge.records import Batch
from trio_bridge.secret import Secret
from trio_bridge.sender.history import Window
from trio_bridge.sender.keyframes import Keyframes
from trio_bridge.sender.stage import PING_GAP_S, run_sender
from trio_bridge.vitals import Vitals


class Rig:
    """One run of the sender, and what a route would hold around it."""

    def __init__(self, url, token, **options):
        self.connect: Callable[[], AbstractAsyncContextManager[PushConnection]] = partial(
            open_push, GrafanaSettings(url=url, token=Secret(token)), "pg"
        )
        self.options = {"interval_s": 0.1, "ack_timeout_s": 5.0, "max_unacked_bytes": 262_144, **options}
        self.options.setdefault("keyframes", Keyframes("m", None, interval_s=2.0, first_flag=0))
        self.send_channel, self.receive_channel = trio.open_memory_channel[Batch](1)
        self.ledger = Ledger()
        self.vitals = Vitals()
        self._told = trio.Event()
        self.feedback = Feedback(self._wake)
        self.mark = 0
        self.lines: list[bytes] = []

    def _wake(self):
        self._told.set()

    async def run(self):
        await run_sender(
            self.receive_channel,
            connect=self.connect,
            feedback=self.feedback,
            ledger=self.ledger,
            vitals=self.vitals,
            log=structlog.get_logger(),
            **self.options,
        )

    async def send(self, rows, padding=0):
        """One batch of `rows` different lines, each with a text field of `padding` bytes."""
        self.mark += 1
        first = len(self.lines)
        text = "x" * padding
        lines = [
            f'm v={n},t="{text}" {1_700_000_000_000_000_000 + n}'.encode() for n in range(first, first + rows)
        ]
        self.lines += lines
        self.ledger.saw(rows)
        await self.send_channel.send(Batch(mark=self.mark, lines=lines, rejections=(), keys=[""] * rows))

    async def wait(self, condition: Callable[[], bool]):
        """Return once the sender has told something that makes `condition` true."""
        while not condition():
            self._told = trio.Event()
            await self._told.wait()

    async def wait_acknowledged(self, mark):
        await self.wait(lambda: self.feedback.acked_mark >= mark)


@pytest.fixture
async def live():
    """A Live stand-in that keeps what it accepts."""
    async with LiveServer(keep_log=True) as server:
        yield server


def got(live):
    """The lines that the stand-in accepted, in order."""
    return [line for delivery in live.deliveries for line in delivery.raw.split(b"\n")]


@asynccontextmanager
async def running(live, **options):
    """A rig whose sender is connected; leaving the block cancels it."""
    rig = Rig(live.url, live.token, **options)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.run)
        await rig.wait(lambda: rig.feedback.ready_at < math.inf)
        yield rig
        nursery.cancel_scope.cancel()


async def opened(rig):
    """Send as much as it takes until the window is as large as it may be."""
    for _ in range(4):
        await rig.send(10, padding=10_000)
    await rig.wait_acknowledged(rig.mark)


async def failure_of(live, work, **options):
    """The error that the sender ends with while `work(rig)` goes on, and how long it took."""
    rig = Rig(live.url, live.token, **options)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, rig)
        with pytest.raises(SinkError) as caught:
            await rig.run()
        nursery.cancel_scope.cancel()
    assert rig.ledger.statistics().balanced
    return caught.value, trio.current_time() - began


# Delivery and acknowledgement


async def test_every_line_arrives_once_in_order(live):
    """What goes in comes out: same lines, same order, all acknowledged, books closed, socket closed politely."""
    rig = Rig(live.url, live.token)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.run)
        for rows in (1, 500, 0, 3, 5_000, 1):
            await rig.send(rows)
        await rig.send_channel.aclose()
    assert got(live) == rig.lines
    assert rig.feedback.acked_mark == rig.feedback.sent_mark == 6
    books = rig.ledger.statistics()
    assert (books.acknowledged, books.pending, books.balanced) == (5_505, 0, True)
    assert books.messages == len(live.deliveries)
    assert books.bytes == sum(len(delivery.raw) for delivery in live.deliveries)
    assert live.counters.connections == 1


async def test_an_acknowledged_mark_has_been_processed(live):
    """No mark is acknowledged before its last line was published."""
    async with running(live, interval_s=0.0) as rig:
        live.faults.seconds_per_message = 0.02
        for mark in range(1, 6):
            await rig.send(3)
            await rig.wait_acknowledged(mark)
            assert len(got(live)) == len(rig.lines)


async def test_rows_that_were_all_rejected_are_acknowledged(live):
    """A batch without lines needs no message, only its turn."""
    async with running(live) as rig:
        await rig.send(0)
        await rig.wait_acknowledged(1)
        await rig.send(2)
        await rig.send(0)
        await rig.wait_acknowledged(3)
    assert live.counters.messages == 1


async def test_a_page_beyond_the_cap_gets_through(live):
    """A single batch larger than the unacknowledged bytes allowed is acknowledged piece by piece."""
    async with running(live, max_unacked_bytes=65_536) as rig:
        await rig.send(100, padding=10_000)
        await rig.wait_acknowledged(1)
    assert got(live) == rig.lines


async def test_no_more_than_the_cap_is_in_doubt(live):
    """A Grafana that answers nothing gets the cap and one message, not the backlog."""
    async with running(live, max_unacked_bytes=100_000) as rig:
        await opened(rig)
        before = rig.ledger.statistics().bytes
        live.faults.mute = True
        await rig.send(100, padding=10_000)
        await wait_until(lambda: rig.ledger.statistics().bytes - before >= 100_000)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert 100_000 <= rig.ledger.statistics().bytes - before <= 100_000 + 65_536
        assert rig.feedback.ready_at == math.inf
        assert (rig.feedback.sent_mark, rig.feedback.acked_mark) == (rig.mark - 1, rig.mark - 1)


async def test_the_listener_waits_while_too_much_is_in_doubt(live):
    """With the cap reached nothing more is asked for, though nothing waits; an acknowledgement asks again."""
    live.faults.mute = True
    async with running(live, max_unacked_bytes=1, ack_timeout_s=0.4) as rig:
        await rig.send(1)
        await rig.wait(lambda: rig.feedback.sent_mark == 1)
        assert rig.feedback.ready_at == math.inf
        live.faults.mute = False
        await rig.wait(lambda: rig.feedback.ready_at < math.inf)
        assert rig.feedback.acked_mark == 1


async def test_backpressure_reaches_the_decoder(live):
    """While Grafana is slow, what waits in the sender is bounded: the channel before it fills."""
    live.faults.mute = True
    async with running(live, max_unacked_bytes=1) as rig:
        sent = 0
        with trio.move_on_after(0.3):
            while True:
                await rig.send(4, padding=10_000)
                sent += 1
        # One message unacknowledged, one full message and a batch waiting, one batch in the channel.
        assert sent <= 6


# Pace


async def test_one_row_after_a_pause_goes_at_once(live):
    """Nothing waits when nothing was sent for an interval."""
    async with running(live, interval_s=0.5) as rig:
        for mark in (1, 2):
            began = trio.current_time()
            await rig.send(1)
            await rig.wait_acknowledged(mark)
            assert trio.current_time() - began < 0.2
            await trio.sleep_until(began + 0.5)


async def test_a_steady_trickle_is_paced(live):
    """At the default pace a second of single rows makes at most 11 messages, and none is lost."""
    async with running(live) as rig:
        with trio.move_on_after(1.0):
            while True:
                await rig.send(1)
                await trio.sleep(0.002)
        await rig.wait_acknowledged(rig.mark)
    arrivals = [delivery.arrived_s for delivery in live.deliveries]
    assert len(live.deliveries) <= 12
    assert len(rig.lines) > 2 * len(live.deliveries)
    assert got(live) == rig.lines
    # A busy machine may delay the first one by as much as an interval.
    assert arrivals[-1] - arrivals[0] >= (len(arrivals) - 2) * 0.1


async def test_bulk_is_not_paced(live):
    """Full messages go as fast as they are acknowledged."""
    async with running(live, interval_s=60.0) as rig:
        await rig.send(1)
        await rig.wait_acknowledged(1)
        for _ in range(10):
            await rig.send(20, padding=10_000)
        with trio.fail_after(5):
            await live.wait_messages(30)


async def test_the_end_of_the_stream_is_not_paced(live):
    """A graceful stop sends what waits without waiting for the pace."""
    rig = Rig(live.url, live.token, interval_s=60.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.run)
        await rig.send(1)
        await rig.wait_acknowledged(1)
        await rig.send(1)
        await rig.send_channel.aclose()
        with trio.fail_after(1):
            await rig.wait_acknowledged(2)
    assert got(live) == rig.lines


# What the listener is told


async def test_the_listener_knows_when_a_message_can_go(live):
    """Not before the socket is open; then at once; not while something waits; then an interval after the last."""
    rig = Rig(live.url, live.token, interval_s=0.3)
    assert rig.feedback.ready_at == math.inf
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.run)
        await rig.wait(lambda: rig.feedback.ready_at < math.inf)
        assert rig.feedback.ready_at <= time.monotonic()
        await rig.send(1)
        await rig.wait(lambda: rig.feedback.sent_mark == 1)
        assert 0.2 < rig.feedback.ready_at - time.monotonic() <= 0.3
        await rig.send(1)
        await rig.wait(lambda: rig.feedback.ready_at == math.inf)
        assert rig.feedback.sent_mark == 1
        await rig.wait(lambda: rig.feedback.ready_at < math.inf)
        await rig.send_channel.aclose()
    assert rig.feedback.ready_at == math.inf


async def test_a_refused_connection_never_says_ready(live):
    """Refused credentials end the run as what they are; the listener is never told to read."""
    rig = Rig(live.url, new_token())
    with pytest.raises(CredentialsRefused):
        await rig.run()
    assert rig.feedback.ready_at == math.inf


# Faults


async def one_row(rig):
    await rig.send(1)
    await trio.sleep_forever()


@pytest.mark.fault(61)
async def test_a_ping_without_an_answer(live):
    """Grafana takes everything and answers nothing: given up after the deadline, with its own sentence."""
    live.faults.mute = True
    error, took_s = await failure_of(live, one_row, ack_timeout_s=0.3)
    assert "has not answered a ping for 0.3 s" in str(error)
    assert 0.3 <= took_s < 2


@pytest.mark.fault(61)
async def test_a_hung_grafana(live):
    """Grafana reads nothing at all: the same."""
    live.faults.stop_reading = True
    error, took_s = await failure_of(live, one_row, ack_timeout_s=0.3)
    assert "has not answered a ping for 0.3 s" in str(error)
    assert 0.3 <= took_s < 2


@pytest.mark.fault(62)
async def test_a_lost_pong_is_asked_for_again(live):
    """One pong that never comes costs half the deadline, not the connection."""
    live.faults.swallow_pings = 1
    async with running(live, ack_timeout_s=0.4) as rig:
        began = trio.current_time()
        await rig.send(1)
        await rig.wait_acknowledged(1)
        assert trio.current_time() - began >= 0.2
        await rig.send(1)
        await rig.wait_acknowledged(2)
    assert live.counters.connections == 1


@pytest.mark.fault(62)
async def test_a_later_pong_makes_good_a_lost_one(live):
    """With traffic nobody waits for a lost pong: the next message's ping is answered for both."""
    live.faults.swallow_pings = 1
    async with running(live, interval_s=0.0, ack_timeout_s=20.0) as rig:
        await rig.send(1)
        await live.wait_messages(1)
        await rig.send(1)
        with trio.fail_after(1):
            await rig.wait_acknowledged(2)


@pytest.mark.fault(63)
async def test_pongs_that_prove_nothing(live):
    """Unknown, empty and foreign pongs acknowledge nothing."""
    live.faults.mute = True
    async with running(live) as rig:
        await rig.send(1)
        await live.wait_messages(1)
        for payload in (b"", b"x", bytes(16), bytes(125)):
            await live.faults.send_pong(payload)
        # The text comes behind the pongs: when it is seen, so are they.
        with capture_logs() as logs:
            await live.faults.send_text("behind")
            while not logs:
                await trio.sleep(0.001)
        assert rig.feedback.acked_mark == 0
        assert rig.ledger.statistics().pending == 1


@asynccontextmanager
async def pong_player(nursery, play):
    """A push server that gives each ping's payload to `play(stream, payload)`; yields its URL."""

    async def handler(stream):
        await accept(stream)
        # The server's half of the protocol, after the handshake.
        server = Connection(ConnectionType.SERVER)
        while data := await stream.receive_some():
            server.receive_data(data)
            for event in server.events():
                if isinstance(event, Ping):
                    await play(stream, bytes(event.payload))

    yield f"http://127.0.0.1:{await listen(nursery, handler)}"


@pytest.mark.fault(63)
async def test_old_and_repeated_pongs(nursery):
    """Pongs that come twice, or again after later ones, acknowledge nothing a second time."""
    seen: list[bytes] = []

    async def play(stream, payload):
        seen.append(payload)
        for old in (*seen, *seen):
            await stream.send_all(b"\x8a" + bytes([len(old)]) + old)

    async with pong_player(nursery, play) as url:
        rig = Rig(url, "token", interval_s=0.0)
        nursery.start_soon(rig.run)
        for mark in range(1, 6):
            await rig.send(2)
            await rig.wait_acknowledged(mark)
            assert rig.ledger.statistics().acknowledged == 2 * mark
    assert len(set(seen)) == len(seen)


@pytest.mark.fault(60)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_cut_connection(live, reset):
    """FIN and RST end the run at once, though a ping waits: it does not hang with it."""
    live.faults.mute = True

    async def work(rig):
        await rig.send(1)
        await live.wait_messages(1)
        live.faults.cut(reset=reset)
        await trio.sleep_forever()

    error, took_s = await failure_of(live, work, ack_timeout_s=20.0)
    assert "without a close frame" in str(error)
    assert took_s < 1


async def test_a_close_that_crosses_a_ping(live):
    """A close frame instead of the pong ends the run with the code's sentence."""
    live.faults.mute = True

    async def work(rig):
        await rig.send(1)
        await live.wait_messages(1)
        await live.faults.close(1001, "bye")
        await trio.sleep_forever()

    error, _ = await failure_of(live, work)
    assert "in good order (1001, it says 'bye')" in str(error)


@pytest.mark.fault(76)
async def test_a_restart_of_grafana(live):
    """A restart ends the run; the next run delivers what the first could not have acknowledged."""

    async def work(rig):
        await rig.send(1)
        await rig.wait_acknowledged(1)
        await live.restart()
        await trio.sleep_forever()

    error, _ = await failure_of(live, work)
    assert "without a close frame" in str(error)
    async with running(live) as rig:
        await rig.send(1)
        await rig.wait_acknowledged(1)


@pytest.mark.fault(81)
async def test_a_publication_that_fails(live):
    """Grafana cuts the connection when it cannot publish; nothing of the message counts as acknowledged."""
    live.faults.fail_publishing = True
    error, _ = await failure_of(live, one_row)
    assert "without a close frame" in str(error)
    assert live.counters.messages == 0


@pytest.mark.fault(68)
async def test_a_message_that_cannot_be_written(nursery):
    """A send that blocks for the deadline is given up, and its connection never used again."""
    received = bytearray()
    go_on = trio.Event()

    async def handler(stream):
        await accept(stream)
        await go_on.wait()
        while data := await stream.receive_some():
            received.extend(data)

    port = await listen(nursery, handler, receive_buffer_bytes=4096)

    async def dial(host, port):
        wire = await dial_tcp(host, port)
        assert isinstance(wire.stream, trio.SocketStream)
        # The kernel would take the whole message otherwise.
        wire.stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return wire

    rig = Rig("", "", ack_timeout_s=0.3)
    grafana = GrafanaSettings(url=f"http://127.0.0.1:{port}", token=Secret("x"))
    rig.connect = partial(open_push, grafana, "pg", dial=dial)
    # In one line, because a connection begins with small messages.
    nursery.start_soon(rig.send, 1, 60_000)
    with pytest.raises(SinkError, match=r"has taken no data for 0\.3 s"):
        await rig.run()
    go_on.set()
    assert rig.ledger.statistics().messages == 0


@pytest.mark.fault(66)
async def test_a_slow_line(live, monkeypatch):
    """A line that needs longer than a ping's deadline for the whole cap is not cut: less is sent at a time."""
    monkeypatch.setattr(trio_bridge.sender.congestion, "SLOW_S", 0.1)
    live.faults.bytes_per_s = 150_000
    async with running(live, ack_timeout_s=1.0) as rig:
        with trio.move_on_after(3.0):
            while True:
                await rig.send(40, padding=2_000)
        assert rig.feedback.acked_mark >= 3


@pytest.mark.fault(66)
async def test_keyframes_over_a_slow_line(live, monkeypatch):
    """Rows go on between keyframes that are cut to what the line carries; once it is fast the whole window comes."""
    monkeypatch.setattr(trio_bridge.sender.congestion, "SLOW_S", 0.1)
    live.faults.bytes_per_s = 100_000
    keyframes = Keyframes("m", Window(150), interval_s=0.2, first_flag=0)
    async with running(live, ack_timeout_s=1.0, keyframes=keyframes) as rig:
        for _ in range(20):
            await rig.send(10, padding=200)
            await rig.wait_acknowledged(rig.mark)
        assert rig.ledger.statistics().keyframes >= 3
        assert max(len(delivery.raw) for delivery in live.deliveries) < 30_000
        live.faults.bytes_per_s = math.inf
        while len(live.deliveries[-1].points) < 150:
            await rig.send(10, padding=200)
            await rig.wait_acknowledged(rig.mark)
    assert live.counters.connections == 1


@pytest.mark.fault(69)
async def test_messages_that_nobody_expects(live):
    """Text from the other side is read, said once and ignored."""
    with capture_logs() as logs:
        async with running(live) as rig:
            for _ in range(3):
                await live.faults.send_text("hello")
            await rig.send(1)
            await rig.wait_acknowledged(1)
    assert [entry["event"] for entry in logs] == ["grafana_connected", "grafana_sent_a_message"]


@pytest.mark.fault(65)
async def test_a_flood_of_pings(live):
    """A server that pings without end is answered, and rows still go."""
    async with running(live) as rig:
        await live.faults.flood_pings(500)
        await rig.send(1)
        await rig.wait_acknowledged(1)
        # The stand-in sees our pongs in the order of its pings; ours came behind them.
        assert live.counters.pongs == 500


@pytest.mark.fault(64)
async def test_keep_alive_shows_that_we_live(live, monkeypatch):
    """An idle connection sends pongs that nobody asked for, so that Grafana does not cut it."""
    monkeypatch.setattr(trio_bridge.sender.stage, "KEEPALIVE_S", 0.05)
    async with running(live):
        while live.counters.pongs < 3:
            await trio.sleep(0.01)


@pytest.mark.fault(61)
async def test_a_grafana_that_hangs_while_idle(live, monkeypatch):
    """A dead Grafana is noticed without a row to send, so that the next row does not wait for it."""
    monkeypatch.setattr(trio_bridge.sender.stage, "KEEPALIVE_S", 0.05)
    live.faults.mute = True

    async def idle(_rig):
        await trio.sleep_forever()

    error, _ = await failure_of(live, idle, ack_timeout_s=0.2)
    assert "has not answered a ping" in str(error)


async def test_a_program_that_was_held_up(live):
    """A loop that stood still for longer than the deadline reads what has come before it judges."""
    async with running(live, ack_timeout_s=0.2) as rig:
        await rig.send(1)
        await live.wait_messages(1)
        # The point is that the whole loop stands still.
        time.sleep(0.5)  # noqa: ASYNC251
        await rig.wait_acknowledged(1)
        await rig.send(1)
        await rig.wait_acknowledged(2)


# The end


async def test_the_end_waits_for_acknowledgements(live):
    """The run is over when the last row is acknowledged, not when it is written."""
    live.faults.seconds_per_message = 0.2
    rig = Rig(live.url, live.token)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.run)
        await rig.send(1)
        await rig.send_channel.aclose()
    assert rig.feedback.acked_mark == 1
    assert rig.ledger.statistics().pending == 0


async def test_the_end_with_a_hung_grafana(live):
    """A stop does not wait for ever for acknowledgements that do not come, and does not call them given."""
    live.faults.mute = True

    async def work(rig):
        await rig.send(1)
        await rig.send_channel.aclose()

    error, took_s = await failure_of(live, work, ack_timeout_s=0.3)
    assert "has not answered a ping" in str(error)
    assert took_s < 2


async def test_messages_without_a_pace_share_their_pings(live):
    """A ping costs as much as a message: many quick ones have one together, and all are acknowledged."""
    async with running(live, interval_s=0.0) as rig:
        await opened(rig)
        before, began = live.counters.pings, trio.current_time()
        for _ in range(100):
            await rig.send(1)
            # Each a message of its own: the next row comes when it is written.
            await rig.wait(lambda: rig.feedback.sent_mark == rig.mark)
        await rig.wait_acknowledged(rig.mark)
        took_s = trio.current_time() - began
        assert live.counters.pings - before <= took_s / PING_GAP_S + 2
    assert len(live.deliveries) >= 100


async def test_the_end_without_anything_sent(live):
    """A channel that ends at once is a run in good order."""
    rig = Rig(live.url, live.token)
    await rig.send_channel.aclose()
    with trio.fail_after(1):
        await rig.run()
    assert live.counters.messages == 0


@pytest.mark.parametrize("hung", [False, True])
async def test_cancelling_is_quick_and_leaves_nothing(live, hung):
    """A cancelled run is over at once, with no task left, even when Grafana hangs in the middle of a message."""
    tasks = trio.lowlevel.current_statistics().tasks_living
    live.faults.stop_reading = hung
    rig = Rig(live.url, live.token, max_unacked_bytes=1 << 30)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.run)
        with trio.move_on_after(0.3):
            while True:
                await rig.send(6, padding=10_000)
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    # It takes 1 to 3 ms; the rest is for a busy machine.
    assert trio.current_time() - began < 0.3
    live.faults.clear()
    with trio.fail_after(1):
        while trio.lowlevel.current_statistics().tasks_living > tasks:
            await trio.sleep(0.01)


@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    batches=st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0, 3_000])), max_size=8),
    swallowed=st.integers(0, 1),
    interval_s=st.sampled_from([0.0, 0.02]),
    cap=st.sampled_from([1, 100_000]),
)
async def test_any_stream_is_delivered_exactly(batches, swallowed, interval_s, cap):
    """Whatever the sizes, the pace, the cap and a lost pong: all lines once, in order, and all acknowledged."""
    async with LiveServer(keep_log=True) as live:
        live.faults.swallow_pings = swallowed
        rig = Rig(live.url, live.token, interval_s=interval_s, max_unacked_bytes=cap, ack_timeout_s=0.2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.run)
            for rows, padding in batches:
                await rig.send(rows, padding)
            await rig.send_channel.aclose()
        assert got(live) == rig.lines
        assert rig.feedback.acked_mark == len(batches)
        assert rig.ledger.statistics().pending == 0
