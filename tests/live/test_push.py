"""The push socket: order, limits, pings and silence."""

from __future__ import annotations

import math
import os
import socket

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode

from tests.live.clients import flush, pusher, raw_websocket, read_frame, subscriber
from trio_bridge.live import LiveServer

MIB = 1024 * 1024
LINE = "m v=1 1700000000000000000"


async def test_messages_are_delivered_in_order_with_all_they_carry() -> None:
    """Each accepted message is observed once, numbered, with its bytes, its stream and its points in full precision."""
    async with (
        LiveServer(keep_log=True) as live,
        pusher(live, "a%2Db") as first,
        pusher(live, "other") as second,
    ):
        await first.send_message(b"m,t=x v=1i 1700000000123456789")
        await first.send_message('m v="text"  5\nm v=t 6')
        await first.ping()
        await second.send_message(LINE)
        await second.ping()
        one, two, three = live.deliveries
    assert (one.connection, one.sequence, two.sequence) == (two.connection, 1, 2)
    assert (three.sequence, three.stream_id) == (1, "other")
    assert three.connection != one.connection
    assert (one.stream_id, one.raw) == ("a-b", b"m,t=x v=1i 1700000000123456789")
    assert one.points == (("m", {"t": "x"}, {"v": 1}, 1_700_000_000_123_456_789),)
    assert [point.fields for point in two.points] == [{"v": "text"}, {"v": True}]
    assert one.arrived_s <= two.arrived_s <= three.arrived_s


async def test_a_bad_line_drops_its_message_in_silence() -> None:
    """The sender of a message that does not parse gets its pong and nothing else, and the next message counts."""
    async with LiveServer(keep_log=True) as live, pusher(live) as push:
        await push.send_message(f"{LINE}\nbad")
        await push.ping()
        assert (live.counters.dropped, live.deliveries) == (1, [])
        await push.send_message(f"{LINE}\n{LINE}")
        await push.ping()
        assert (live.counters.messages, live.counters.rows, live.counters.dropped) == (1, 2, 1)


async def test_an_unknown_format_drops_every_message() -> None:
    """The handshake succeeds with any format, then nothing is ever published."""
    async with LiveServer() as live, pusher(live, query="?gf_live_frame_format=prometheus") as push:
        await push.send_message(LINE)
        await push.ping()
        assert (live.counters.messages, live.counters.dropped) == (0, 1)


async def test_one_mebibyte_passes_and_one_byte_more_is_1009() -> None:
    """The limit of a message is 1 MiB exactly."""
    async with LiveServer() as live, pusher(live) as push:
        await push.send_message("#".ljust(MIB))
        await push.ping()
        assert live.counters.messages == 1
        with pytest.raises(ConnectionClosed):
            await send_and_listen(push, "#".ljust(MIB + 1))
        # What was left unread turns the close into a reset, which can overtake the close frame, as with Grafana.
        assert push.closed is not None
        assert push.closed.code in (1009, 1006)
        assert live.counters.messages == 1


async def send_and_listen(push: WebSocketConnection, message: str) -> None:
    """Sends `message`, then waits for one; either may find the connection closed."""
    await push.send_message(message)
    await push.get_message()


async def test_fragments_are_one_message_with_one_limit() -> None:
    """A fragmented message counts as a whole, also against the limit; a ping between fragments is answered at once."""
    async with LiveServer() as live:
        stream, protocol = await raw_websocket(live, "/api/live/push/pg")
        async with stream:
            protocol.send_text(b"m v=1 17000", fin=False)
            protocol.send_ping(b"between")
            await flush(stream, protocol)
            assert (await read_frame(stream, protocol)).opcode is Opcode.PONG
            assert live.counters.messages == 0
            protocol.send_continuation(b"00000000000000", fin=True)
            protocol.send_text(b"#".ljust(MIB), fin=False)
            protocol.send_continuation(b"#", fin=True)
            await flush(stream, protocol)
            closing = await read_frame(stream, protocol)
            assert (closing.opcode, closing.data[:2]) == (Opcode.CLOSE, (1009).to_bytes(2, "big"))
            assert live.counters.messages == 1


async def test_without_a_pong_the_connection_is_cut_without_a_close_frame() -> None:
    """A client that only sends data is cut at the limit; no close frame says so."""
    async with LiveServer(ping_interval_s=math.inf, cut_after_s=0.15) as live:
        # Before the server's clock starts.
        began = trio.current_time()
        stream, protocol = await raw_websocket(live, "/api/live/push/pg")
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(send_messages, stream, protocol)
            assert await stream.receive_some() == b""
            nursery.cancel_scope.cancel()
        assert trio.current_time() - began >= 0.15
        assert live.counters.messages > 0


async def send_messages(stream: trio.SocketStream, protocol: ClientProtocol) -> None:
    """Sends a line every 20 ms."""
    while True:
        protocol.send_text(LINE.encode())
        await flush(stream, protocol)
        await trio.sleep(0.02)


async def test_any_pong_keeps_the_connection() -> None:
    """A client that answers pings, and one that sends pongs nobody asked for, both live past the limit."""
    async with LiveServer(ping_interval_s=0.05, cut_after_s=0.2) as live, pusher(live) as push:
        await live.wait_connections(1)
        with trio.move_on_after(0.5):
            await push.get_message()
        assert push.closed is None
        assert live.counters.pongs >= 5
        live.faults.server_ping_interval_s = math.inf
        for _ in range(6):
            await push.pong(b"unsolicited")
            await trio.sleep(0.08)
        assert push.closed is None


async def test_the_pong_comes_after_the_publications_have_reached_a_subscriber() -> None:
    """At the moment of the pong all earlier publications lie in the subscriber's socket buffer."""
    async with LiveServer() as live, pusher(live) as push:
        stream, protocol = await raw_websocket(live, "/api/live/ws")
        async with stream:
            protocol.send_text(b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"1/stream/pg/m"}}')
            await flush(stream, protocol)
            for _ in range(2):
                assert (await read_frame(stream, protocol)).opcode is Opcode.TEXT
            # A second handle on the same socket reads without Trio getting a turn.
            with socket.socket(fileno=os.dup(stream.socket.fileno())) as now:
                for number in range(1, 51):
                    await push.send_message(f"m v={number} 5")
                    await push.ping()
                    protocol.receive_data(now.recv(65536, socket.MSG_DONTWAIT))
                    [frame] = protocol.events_received()
                    assert isinstance(frame, Frame)
                    assert f"[{number}]]".encode() in frame.data


async def test_a_close_frame_is_answered() -> None:
    """The closing handshake of the sender comes to its end."""
    async with LiveServer() as live, pusher(live) as push:
        await push.aclose(1000)
        assert push.closed is not None
        assert push.closed.code == 1000


async def test_the_subscriber_and_the_observer_see_the_same() -> None:
    """The observer is called once the message has been published."""
    seen: list[int] = []
    live = LiveServer(on_message=lambda delivery: seen.append(len(delivery.points)))
    async with live, pusher(live) as push, subscriber(live) as browser:
        await browser.subscribe("1/stream/pg/m")
        await push.send_message(f"{LINE}\n{LINE}")
        await browser.publication()
        assert seen == [2]
    assert live.deliveries == []
