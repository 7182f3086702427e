"""The model of Grafana: what it promises the simulation, spoken to by a real WebSocket client on a virtual clock."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial, wraps

import pytest
import trio
from trio.testing import MockClock
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from tests.simulation.live import Delivery, LiveModel, Row
from tests.simulation.live.lines import Reader, Unparsable


def virtual(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Time is Trio's and jumps to whatever happens next."""

    @wraps(test)
    def run(**arguments: object) -> None:
        trio.run(partial(test, **arguments), clock=MockClock(autojump_threshold=0))

    return run


@asynccontextmanager
async def grafana(**settings: float) -> AsyncIterator[LiveModel]:
    """A virtual Grafana."""
    async with trio.open_nursery() as nursery:
        yield LiveModel(nursery, random.Random(1), **settings)  # type: ignore[arg-type]
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def dialled(live: LiveModel) -> AsyncIterator[WebSocketConnection]:
    """A push socket to it; its reader's errors end with it."""
    end = await live.dial()
    async with trio.open_nursery() as nursery:
        yield await wrap_client_stream(nursery, end, "grafana", "/api/live/push/pg")  # type: ignore[arg-type]
        end.close_now(reset=True)
        nursery.cancel_scope.cancel()


def line(number: int) -> bytes:
    return b"m id=%d,value=%d.5 %d" % (number, number, 1_700_000_000_000_000_000 + number)


class Watcher:
    """Writes down what it is told."""

    def __init__(self, live: LiveModel) -> None:
        self.told: list[str] = []
        live.observers.append(self)

    def connected(self, connection: int, owner: object) -> None:
        self.told.append(f"connected {connection} {owner}")

    def processed(self, delivery: Delivery) -> None:
        self.told.append(f"processed {delivery.sequence}")

    def ponged(self, connection: int, sequence: int) -> None:
        self.told.append(f"ponged {connection} {sequence}")


@virtual
async def test_a_pong_comes_after_everything_before_its_ping() -> None:
    """A ping is answered when all messages before it have been processed, and not before."""
    async with grafana(service_s=1.0) as live, dialled(live) as socket:
        watcher = Watcher(live)
        for number in range(3):
            await socket.send_message(line(number))
        await socket.ping(b"a")
        assert watcher.told == ["processed 1", "processed 2", "processed 3", "ponged 1 3"]
        assert [delivery.rows[0].key for delivery in live.processed] == ["0", "1", "2"]


@virtual
async def test_a_bad_line_makes_its_message_vanish_in_silence() -> None:
    """The socket stays open, the ping is answered, neighbours in the message are gone, and it is noted."""
    async with grafana() as live, dialled(live) as socket:
        await socket.send_message(line(1) + b"\nm id=,value=1 5")
        await socket.send_message(line(2))
        await socket.ping(b"a")
        assert [delivery.rows for delivery in live.processed] == [
            (),
            (Row("2", 1_700_000_000_000_000_002, (("value", 2.5),)),),
        ]
        assert [delivery.unparsable for delivery in live.unparsable] == [line(1) + b"\nm id=,value=1 5"]


@virtual
async def test_a_keyframe_is_told_from_what_comes_between_keyframes() -> None:
    """A changed flag makes a keyframe; the same flag again, or none, does not."""
    async with grafana() as live, dialled(live) as socket:
        for flag in (b"", b'_3="",', b'_3="",', b'_4="",', b""):
            await socket.send_message(b"m " + flag + line(1)[2:])
        await socket.ping(b"a")
        assert [delivery.keyframe for delivery in live.processed] == [False, True, False, True, False]
        assert len({delivery.rows for delivery in live.processed}) == 1, "the flag is no part of the row"


@virtual
async def test_a_panel_shows_what_the_page_would_show() -> None:
    """Equal schemas append, another schema replaces; who comes later begins with the last message."""
    async with grafana() as live, dialled(live) as socket:
        for number, flag in enumerate((b"", b"", b'_1="",', b'_1="",')):
            await socket.send_message(b"m " + flag + line(number)[2:])
        await socket.ping(b"a")
        assert [row.key for row in live.panel("m").shown] == ["2", "3"]
        assert [row.key for row in live.open_panel("m").shown] == ["3"]


@virtual
async def test_a_server_that_reads_nothing_makes_the_client_wait() -> None:
    """A send blocks once the buffers are full, and goes on when the server reads again."""
    async with grafana(buffer_bytes=100_000) as live, dialled(live) as socket:
        live.mute(50.0)
        sent = 0
        with trio.move_on_after(10.0):
            while True:
                await socket.send_message(b"\n".join([line(7)] * 500))
                sent += 1
        assert 3 <= sent <= 12


@virtual
async def test_a_slow_server_takes_its_time() -> None:
    """At 1,000 bytes a second 10,000 bytes take ten seconds."""
    async with grafana(latency_s=0.0, service_s=0.0) as live, dialled(live) as socket:
        live.slow(1_000.0, 60.0)
        began = trio.current_time()
        await socket.send_message(b"\n".join([line(7)] * 250))
        await socket.ping(b"a")
        assert 9.0 <= trio.current_time() - began <= 12.0


@virtual
async def test_pongs_can_be_silenced_lost_and_late() -> None:
    """A silent Grafana processes and never answers; a later pong answers an earlier ping; late ones come."""
    async with grafana(latency_s=0.0) as live, dialled(live) as socket:
        live.silence_pongs(5.0)
        await socket.send_message(line(1))
        with trio.move_on_after(4.0) as patience:
            await socket.ping(b"a")
        assert patience.cancelled_caught
        assert len(live.processed) == 1
        await trio.sleep(2.0)
        live.delay_pongs(3.0, 10.0)
        began = trio.current_time()
        await socket.ping(b"b")
        assert trio.current_time() - began == pytest.approx(3.0)
        live.calm()
        live.drop_pongs(1, 5.0)
        with trio.move_on_after(1.0) as patience:
            await socket.ping(b"c")
        assert patience.cancelled_caught
        live.calm()
        await socket.ping(b"d")


@virtual
async def test_stray_pongs_floods_and_messages_change_nothing() -> None:
    """They are what a client has to bear."""
    async with grafana() as live, dialled(live) as socket:
        await socket.ping(b"a")
        for _ in range(20):
            live.stray_pong()
        live.flood_pings(50)
        live.say("hello")
        assert await socket.get_message() == "hello"
        await socket.ping(b"b")


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1009, 1011, 1012])
@virtual
async def test_a_close_frame_arrives_with_its_code(code: int) -> None:
    """Also codes that a library would not send by itself."""
    async with grafana() as live, dialled(live) as socket:
        live.close(code)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == code
        assert live.open == 0


@pytest.mark.parametrize("reset", [False, True])
@virtual
async def test_a_cut_ends_the_socket_and_what_is_being_converted(reset: bool) -> None:
    """A message in service when the socket is cut is not published, and the client notices."""
    async with grafana(service_s=1.0) as live, dialled(live) as socket:
        await socket.send_message(line(1))
        await trio.sleep(0.01)
        live.cut(reset=reset)
        with pytest.raises(ConnectionClosed):
            await socket.get_message()
        await trio.sleep(5.0)
        assert live.processed == []


@virtual
async def test_what_had_arrived_of_an_aborted_client_is_still_processed() -> None:
    """A reset reaches a server after what came before it: a new socket may be quicker than the old one's rows."""
    async with grafana(service_s=1.0) as live:
        async with dialled(live) as socket:
            for number in range(3):
                await socket.send_message(line(number))
            await trio.sleep(0.01)
        await trio.sleep(10.0)
        assert [delivery.rows[0].key for delivery in live.processed] == ["0", "1", "2"]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
@virtual
async def test_a_refused_upgrade_says_why(status: int) -> None:
    """With its status, and for a while only."""
    async with grafana() as live:
        live.refuse_upgrades(status, 5.0, retry_after_s=7.0)
        with pytest.RaisesGroup(ConnectionRejected, allow_unwrapped=True, flatten_subgroups=True) as refused:
            async with dialled(live):
                pass
        (rejected,) = (
            refused.value.exceptions if isinstance(refused.value, ExceptionGroup) else (refused.value,)
        )
        assert isinstance(rejected, HandshakeError)
        assert getattr(rejected, "status_code", None) == status
        await trio.sleep(5.0)
        async with dialled(live) as socket:
            await socket.ping(b"a")


@virtual
async def test_a_restart_refuses_then_takes_connections() -> None:
    """Nobody listens while it is down; afterwards a new page has nothing to begin with."""
    async with grafana() as live:
        async with dialled(live) as socket:
            await socket.send_message(line(1))
            await socket.ping(b"a")
            live.restart(3.0)
        with pytest.raises(ConnectionRefusedError):
            await live.dial()
        await trio.sleep(3.0)
        async with dialled(live):
            assert live.connections == 2
            assert [row.key for row in live.panel("m").shown] == ["1"]
            assert live.open_panel("m").shown == []


@virtual
async def test_a_client_that_sends_no_pong_is_cut_without_a_word() -> None:
    """27.78 s after the last one; a pong keeps it alive."""
    async with grafana(ping_interval_s=1e9) as live, dialled(live) as socket:
        for _ in range(4):
            await trio.sleep(20.0)
            await socket.pong()
        assert live.open == 1
        await trio.sleep(27.9)
        assert live.open == 0


@virtual
async def test_the_same_seed_gives_the_same_times() -> None:
    """Every latency and service time comes from the generator given."""

    async def once() -> list[float]:
        began = trio.current_time()
        async with grafana(service_s=0.1) as live, dialled(live) as socket:
            for number in range(20):
                await socket.send_message(line(number))
            await socket.ping(b"a")
            return [round(delivery.at - began, 9) for delivery in live.processed]

    assert await once() == await once()


@pytest.mark.parametrize(
    ("written", "row"),
    [
        (b"m id=1,value=2 5", Row("1", 5, (("value", 2.0),))),
        (b'm id=1,value="NaN",note="" 5', Row("1", 5, ())),
        (b'm id=1,note="a \\"b\\" \\\\ , =" 5', Row("1", 5, (("note", 'a "b" \\ , ='),))),
        (b'm value_a="NaN",value_b="NaN",id_b=3,value_b=4 5', Row("3", 5, (("value_b", 4.0),))),
        (b"m,site=x\\ y id=1i,on=true -5", Row("1", -5, (("on", 1.0),))),
        (b'm id="k-1",value=1e3 5', Row("k-1", 5, (("value", 1000.0),))),
    ],
)
def test_a_line_is_read_as_the_grammar_says(written: bytes, row: Row) -> None:
    """Types, nulls, escapes, names that come twice."""
    (found,) = Reader("id").read(written)
    assert found.row == row


def test_a_line_feed_in_a_text_ends_no_line() -> None:
    """Also when the next line looks like one that is known."""
    reader = Reader("id")
    reader.read(b"m id=2 6")
    first, second = reader.read(b'm id=1,note="a\nm id=2 6\nb" 5\nm id=3 7')
    assert first.row == Row("1", 5, (("note", "a\nm id=2 6\nb"),))
    assert second.row.key == "3"


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"m",
        b"m id=1",
        b"m id=1 ",
        b"m id=nan 5",
        b"m id=1e400 5",
        b"m id=99999999999999999999i 5",
        b"m id=1 99999999999999999999",
        b"m id=1 9999999999999999999",
        b"m  id=1 5",
        b"m id=1, 5",
        b'm note="a\rb" 5',
        b'm note="a\\n" 5',
        b'm note="a 5',
        b"#m id=1 5",
        b"m,site= id=1 5",
        b"m id=1 5\nn id=1 5",
        b'm note="\xff" 5',
    ],
)
def test_what_is_no_line_is_refused(written: bytes) -> None:
    """Everything that Grafana's parser refuses, and what the bridge promises never to send."""
    with pytest.raises(Unparsable):
        Reader("id").read(written)


@virtual
async def test_a_virtual_hour_costs_no_time() -> None:
    """Pings and pongs of an hour take well under a second."""
    async with grafana() as live, dialled(live):
        await trio.sleep(3_600.0)
        assert live.open == 1
