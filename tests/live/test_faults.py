"""Each fault that can be switched on, seen from the sender's side."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection
from websockets.frames import Opcode

from tests.live.clients import bearer, http, pusher, raw_websocket, read_frame
from trio_bridge.live import Faults, LiveServer, Refusal, answer

PUSH = "/api/live/push/pg"
LINE = "m v=1 5"


async def close_code(push: WebSocketConnection) -> int:
    """The code with which the connection ends; 1006 without a close frame."""
    with pytest.raises(ConnectionClosed):
        await push.get_message()
    assert push.closed is not None
    return push.closed.code


async def is_answered(push: WebSocketConnection, within_s: float = 0.1) -> bool:
    """Whether a ping is answered in time."""
    with trio.move_on_after(within_s):
        await push.ping()
        return True
    return False


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (401, {}, b""),
        (403, {}, b'{"message":"Permission denied"}'),
        (404, {}, b""),
        (429, {"Retry-After": "7"}, b""),
        (500, {}, b'{"message":"invalid API key"}'),
        (503, {}, b""),
        (301, {"Location": "https://elsewhere.example/"}, b""),
        (200, {"Content-Type": "text/html"}, b"<html>log in</html>"),
    ],
)
async def test_a_handshake_can_get_any_answer(status: int, headers: dict[str, str], body: bytes) -> None:
    """Status, headers and body of the refusal arrive as given, for the POST too; other paths are not affected."""
    async with LiveServer() as live, http(live, bearer(live.token)) as client:
        live.faults.refusal = answer(status, headers, body)
        with pytest.RaisesGroup(ConnectionRejected, flatten_subgroups=True) as refused:
            async with pusher(live):
                pass
        [rejected] = leaves(refused.value)
        assert isinstance(rejected, ConnectionRejected)
        assert (rejected.status_code, rejected.body or b"") == (status, body)
        seen = {name.decode().lower(): value.decode() for name, value in rejected.headers or ()}
        assert seen.items() >= {name.lower(): value for name, value in headers.items()}.items()
        assert (await client.post(PUSH, content=LINE)).status_code == status
        assert (await client.get("/api/health")).status_code == 200
        live.faults.clear()
        assert (await client.post(PUSH, content=LINE)).status_code == 200


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


@pytest.mark.parametrize("raw", [b"", b"junk\r\n\r\n", b"HTTP/1.1 101 Switching Pro"])
@pytest.mark.parametrize("hang", [True, False])
async def test_a_handshake_can_get_junk_half_an_answer_or_silence(raw: bytes, hang: bool) -> None:
    """The bytes arrive as given; then the connection ends, or stays open without a word."""
    async with LiveServer() as live, await trio.open_tcp_stream("127.0.0.1", live.port) as stream:
        live.faults.refusal = Refusal(raw, hang=hang)
        await stream.send_all(f"GET {PUSH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        seen = b""
        while len(seen) < len(raw):
            seen += await stream.receive_some()
        assert seen == raw
        with trio.move_on_after(0.05) as silence:
            assert await stream.receive_some() == b""
        assert silence.cancelled_caught is hang


@pytest.mark.parametrize("reset", [True, False])
async def test_cut_ends_the_connection_without_a_close_frame(reset: bool) -> None:
    """The sender sees the end of the stream, or a reset; what it sends afterwards is not processed."""
    async with LiveServer() as live:
        stream, _ = await raw_websocket(live, PUSH)
        async with stream:
            live.faults.cut(reset=reset)
            if reset:
                with pytest.raises(trio.BrokenResourceError):
                    await stream.receive_some()
            else:
                assert await stream.receive_some() == b""


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013, 4000])
async def test_close_sends_the_code_asked_for(code: int) -> None:
    """The sender gets a close frame with the code and the reason."""
    async with LiveServer() as live, pusher(live) as push:
        await live.faults.close(code, "because")
        assert await close_code(push) == code
        assert push.closed is not None
        assert push.closed.reason == "because"


async def test_stop_reading_hangs_and_goes_on() -> None:
    """A hung server neither processes nor answers; when it goes on, everything is there and in order."""
    async with LiveServer(keep_log=True) as live, pusher(live) as push, trio.open_nursery() as nursery:
        await push.ping()
        live.faults.stop_reading = True
        await push.send_message("m v=1 1")
        await push.send_message("m v=2 2")
        nursery.start_soon(push.ping)
        assert not await is_answered(push)
        assert live.counters.messages == 0
        live.faults.stop_reading = False
        await push.ping()
        assert [delivery.points[0].time_ns for delivery in live.deliveries] == [1, 2]


async def test_mute_processes_and_never_answers() -> None:
    """Messages are processed while pings go unanswered, until it is switched off."""
    async with LiveServer() as live, pusher(live) as push:
        live.faults.mute = True
        await push.send_message(LINE)
        assert not await is_answered(push)
        assert (live.counters.messages, live.counters.pings) == (1, 1)
        live.faults.mute = False
        assert await is_answered(push, within_s=5)


async def test_swallowed_pings_are_counted_down() -> None:
    """So many pings get no pong, the next one does."""
    async with LiveServer() as live, pusher(live) as push:
        live.faults.swallow_pings = 2
        assert [await is_answered(push, within_s) for within_s in (0.1, 0.1, 5)] == [False, False, True]
        assert live.faults.swallow_pings == 0


async def test_drop_in_silence_answers_pings() -> None:
    """Messages are lost, and the pong says nothing about it."""
    async with LiveServer() as live, pusher(live) as push:
        live.faults.drop_in_silence = True
        await push.send_message(LINE)
        await push.ping()
        assert live.counters.messages == 0


async def test_fail_publishing_cuts_at_the_next_message() -> None:
    """A ping still works; the message is lost, and so is what comes behind it."""
    async with LiveServer() as live, pusher(live) as push:
        live.faults.fail_publishing = True
        await push.ping()
        await push.send_message(LINE)
        assert await close_code(push) == 1006
        assert live.counters.messages == 0


async def test_seconds_per_message_delays_the_pong() -> None:
    """Each message takes its time, and the pong comes after all of them."""
    async with LiveServer() as live, pusher(live) as push:
        live.faults.seconds_per_message = 0.05
        began = trio.current_time()
        for _ in range(3):
            await push.send_message(LINE)
        await push.ping()
        assert trio.current_time() - began >= 0.15
        assert live.counters.messages == 3


async def test_bytes_per_s_bounds_the_rate() -> None:
    """A slow reader takes at most that many bytes per second, whatever was sent."""
    async with LiveServer() as live, pusher(live) as push:
        live.faults.bytes_per_s = 50_000
        # The read that already waits is as large as ever; from the next one on the rate counts.
        await push.ping()
        began = trio.current_time()
        await push.send_message("#".ljust(20_000))
        await push.ping()
        assert trio.current_time() - began >= 0.2


async def test_the_servers_ping_interval_can_be_changed() -> None:
    """A flood of pings, or none at all, from the moment it is switched."""
    async with LiveServer(ping_interval_s=math.inf) as live, pusher(live) as push:
        await live.wait_connections(1)
        live.faults.server_ping_interval_s = 0.001
        while live.counters.pongs < 50:
            await push.send_message(LINE)
            await push.ping()
        live.faults.server_ping_interval_s = math.inf
        await push.ping()
        await push.ping()
        before = live.counters.pongs
        assert not await is_answered_by_server_ping(live, before)


async def is_answered_by_server_ping(live: LiveServer, before: int) -> bool:
    """Whether the server still pings, seen by the pongs it gets."""
    await trio.sleep(0.05)
    return live.counters.pongs > before


async def test_what_nobody_expects_arrives() -> None:
    """Text, pongs and bytes past the protocol reach every open push socket."""
    async with LiveServer() as live:
        stream, protocol = await raw_websocket(live, PUSH)
        async with stream:
            await live.wait_connections(1)
            await live.faults.send_text("hello")
            assert (await read_frame(stream, protocol)).data == b"hello"
            await live.faults.send_pong(b"stray")
            pong = await read_frame(stream, protocol)
            assert (pong.opcode, pong.data) == (Opcode.PONG, b"stray")
            # A text frame with a reserved bit.
            await live.faults.send_raw(b"\xf1\x00")
            protocol.receive_data(await stream.receive_some())
            assert protocol.parser_exc is not None


async def test_a_flood_of_pings_is_survived() -> None:
    """A thousand pings in a row are answered by the sender's library, and messages still pass."""
    async with LiveServer() as live, pusher(live) as push:
        await live.wait_connections(1)
        await live.faults.flood_pings(1000)
        await push.send_message(LINE)
        await push.ping()
        assert live.counters.messages == 1


async def test_an_assignment_wakes_who_waits() -> None:
    """A switch counts at once, not at the next look."""
    faults = Faults(stop_reading=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(faults.wait_reading)
        await trio.testing.wait_all_tasks_blocked()
        faults.stop_reading = False
