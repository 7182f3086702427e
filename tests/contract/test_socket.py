"""The push socket: silence on a bad line, what a pong proves, the limit of a message, the deadlines."""

from __future__ import annotations

import math

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from tests.contract.target import Target, fresh_stream, publications, values

MIB = 1024 * 1024
# A good deal to convert (10 ms in Grafana), and as JSON well below the megabyte by which a browser may lag.
ROWS = 10_000


async def test_bad_line_drops_its_message_in_silence(target: Target) -> None:
    """Of a message with one bad line nothing is published; the socket lives, answers pings, takes the next message."""
    stream = fresh_stream()
    async with target.pusher(stream) as push, target.subscriber() as browser:
        await browser.subscribe(f"{target.prefix}stream/{stream}/m")
        await push.send_message("m v=1 1700000000000000000\nbad")
        await push.ping()
        await push.send_message("m v=2 1700000001000000000")
        [frame] = await publications(browser, 1)
        assert values(frame) == [[""], [1_700_000_001_000], [2]]


async def test_unknown_format_drops_every_message(target: Target) -> None:
    """The upgrade succeeds with any frame format, then nothing is published; a POST says 400."""
    stream, query = fresh_stream(), "?gf_live_frame_format=prometheus"
    async with target.pusher(stream, query) as push, target.subscriber() as browser:
        await push.send_message("m v=1 1700000000000000000")
        await push.ping()
        reply = await browser.subscribe(f"{target.prefix}stream/{stream}/m")
        assert "data" not in reply["subscribe"]
    assert await target.post(stream, "m v=1 1700000000000000000", target.admin, query) == 400


async def test_post_tells_a_bad_line(target: Target) -> None:
    """A POST says 200 for a good message and 500 for a bad line: the only way to learn of one."""
    assert await target.post(fresh_stream(), "m v=1 1700000000000000000", target.admin) == 200
    assert await target.post(fresh_stream(), "bad", target.admin) == 500


async def test_pong_comes_after_the_publication(target: Target) -> None:
    """When the pong comes, a message that takes long to convert is cached and on its way to those who subscribed."""
    stream = fresh_stream()
    lines = "\n".join(f"m v=1 {1_700_000_000_000_000_000 + row * 1_000_000}" for row in range(ROWS))
    async with target.pusher(stream) as push, target.subscriber() as browser, target.subscriber() as late:
        await browser.subscribe(f"{target.prefix}stream/{stream}/m")
        await push.send_message(lines)
        await push.ping()
        reply = await late.subscribe(f"{target.prefix}stream/{stream}/m")
        assert len(values(reply["subscribe"]["data"])[1]) == ROWS
        [frame] = await publications(browser, 1)
        assert len(values(frame)[1]) == ROWS


async def test_pongs_follow_all_publications_before_them(target: Target) -> None:
    """Message, ping, message, ping: at each pong the cached frame is that of the message before it."""
    stream = fresh_stream()
    async with target.pusher(stream) as push, target.subscriber() as browser:
        for number in range(20):
            await push.send_message(f"m v={number} 1700000000000000000")
            await push.ping()
            reply = await browser.subscribe(f"{target.prefix}stream/{stream}/m")
            assert values(reply["subscribe"]["data"])[2] == [number]
            await browser.command("unsubscribe", {"channel": f"{target.prefix}stream/{stream}/m"})


async def test_one_mebibyte_passes_and_one_byte_more_ends_the_socket(target: Target) -> None:
    """The limit of a message is 1 MiB; above it the socket is closed with 1009, if the reset does not overtake that."""
    async with target.pusher(fresh_stream()) as push:
        await push.send_message("#".ljust(MIB))
        await push.ping()
        with pytest.raises(ConnectionClosed):
            await send_and_listen(push, "#".ljust(MIB + 1))
        assert push.closed is not None
        assert push.closed.code in (1009, 1006)


async def send_and_listen(push: WebSocketConnection, message: str) -> None:
    """Sends `message`, then waits for one; either may find the connection closed."""
    await push.send_message(message)
    await push.get_message()


@pytest.mark.slow
@pytest.mark.deadline(60)
async def test_without_a_pong_the_socket_is_cut(target: Target) -> None:
    """The server pings, and a client that answers nothing is cut at the deadline without a close frame."""
    stream, protocol = await raw_push(target)
    began = trio.current_time()
    pinged_at = math.inf
    async with stream:
        while data := await stream.receive_some():
            protocol.receive_data(data)
            [frame] = protocol.events_received()
            assert isinstance(frame, Frame)
            assert frame.opcode is Opcode.PING
            pinged_at = min(pinged_at, trio.current_time())
    assert pinged_at - began == pytest.approx(target.ping_interval_s, rel=0.2)
    assert trio.current_time() - began == pytest.approx(target.cut_after_s, rel=0.2)
    assert pinged_at < trio.current_time()


@pytest.mark.slow
@pytest.mark.deadline(90)
async def test_pongs_nobody_asked_for_keep_the_socket(target: Target) -> None:
    """A client that never answers a ping lives on unsolicited pongs alone, well past the deadline."""
    stream, protocol = await raw_push(target)
    ends = trio.current_time() + 2 * target.cut_after_s
    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(send_pongs, stream, protocol, target.cut_after_s / 4)
        with trio.move_on_at(ends):
            while await stream.receive_some():
                pass
        assert trio.current_time() >= ends, "the server closed the socket"
        nursery.cancel_scope.cancel()


async def send_pongs(stream: trio.SocketStream, protocol: ClientProtocol, interval_s: float) -> None:
    """Sends a pong at each interval."""
    while True:
        protocol.send_pong(b"")
        for data in protocol.data_to_send():
            await stream.send_all(data)
        await trio.sleep(interval_s)


async def raw_push(target: Target) -> tuple[trio.SocketStream, ClientProtocol]:
    """A push socket over plain HTTP whose every frame the test writes itself; nothing is answered."""
    uri = parse_uri(target.url.replace("http", "ws", 1) + f"/api/live/push/{fresh_stream()}")
    if uri.secure:
        pytest.skip("needs plain HTTP")
    protocol = ClientProtocol(uri)
    stream = await trio.open_tcp_stream(uri.host, uri.port)
    request = protocol.connect()
    request.headers.update(target.admin)
    protocol.send_request(request)
    for data in protocol.data_to_send():
        await stream.send_all(data)
    while not (events := protocol.events_received()):
        protocol.receive_data(await stream.receive_some())
    assert protocol.handshake_exc is None, events
    return stream, protocol
