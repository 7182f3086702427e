"""The browser's socket: cached frames, schemas on change, pings, refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.live.clients import (
    Subscriber,
    bearer,
    flush,
    pusher,
    raw_websocket,
    read_frame,
    subscriber,
    websocket,
)
from trio_bridge.live import LiveServer

BROWSER = "/api/live/ws"


def names(frame: dict[str, Any]) -> list[str]:
    return [field["name"] for field in frame["schema"]["fields"]]


async def read_on(browser: Subscriber) -> None:
    """Reads until the connection ends."""
    while True:
        await browser.connection.get_message()


async def close_code(browser: Subscriber) -> int:
    """The code with which the connection ends."""
    with pytest.raises(ConnectionClosed):
        await read_on(browser)
    assert browser.connection.closed is not None
    return browser.connection.closed.code


async def test_the_last_message_is_cached_whole() -> None:
    """Who subscribes late gets the last message of the channel, with its schema, and nothing older."""
    async with LiveServer() as live, pusher(live) as push, subscriber(live) as browser:
        assert (await browser.subscribe("1/stream/pg/m"))["subscribe"] == {}
        await push.send_message("m v=1 1000000\nm v=2 2000000")
        await push.send_message("m v=3 3000000")
        await push.ping()
        async with subscriber(live) as late:
            data = (await late.subscribe("1/stream/pg/m"))["subscribe"]["data"]
        assert (names(data), data["data"]) == (["labels", "time", "v"], {"values": [[""], [3], [3]]})


async def test_the_schema_is_sent_when_it_changes() -> None:
    """A publication carries the schema if it differs from the previous one's, else only data."""
    async with LiveServer() as live, pusher(live) as push, subscriber(live) as browser:
        await browser.subscribe("1/stream/pg/m")
        for line in ("m v=1 5", "m v=2 5", "m v=t 5", "m w=1,v=t 5", "m v=t,w=1 5", "m v=t 5"):
            await push.send_message(line)
        frames = [(await browser.publication())[1] for _ in range(6)]
    assert ["schema" in frame for frame in frames] == [True, False, True, True, False, True]


async def test_a_browser_gets_only_what_it_subscribed_to() -> None:
    """Publications of other channels, and of a channel after unsubscribing, do not arrive."""
    async with LiveServer() as live, pusher(live) as push, subscriber(live) as browser:
        await browser.subscribe("1/stream/pg/a")
        await browser.subscribe("1/stream/pg/b")
        await push.send_message("x v=1 5\na v=2 5\nb v=3 5")
        assert {(await browser.publication())[0] for _ in range(2)} == {"1/stream/pg/a", "1/stream/pg/b"}
        assert (await browser.command("unsubscribe", {"channel": "1/stream/pg/a"}))["unsubscribe"] == {}
        await push.send_message("a v=4 5\nb v=5 5")
        assert (await browser.publication())[0] == "1/stream/pg/b"
        assert live.channels.subscriptions == 1


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        ("1/stream/pg/a b", 400),
        ("1/stream/pg/temp,x", 400),
        ("1/stream/a.b/m", 400),
        ("1/stream/pg/", 400),
        ("1/stream/pg", 400),
        ("1/stream/pg/" + "m" * 151, 400),
        ("2/stream/pg/m", 400),
        ("stream/pg/m", 400),
        ("1/stream/pg/" + "m" * 244, 107),
        ("", 107),
        (None, 107),
    ],
)
async def test_a_bad_name_is_refused(channel: str | None, code: int) -> None:
    """A name outside the grammar, too long or of another organisation gets the error of the real server."""
    message = {400: "invalid channel ID", 107: "bad request"}[code]
    async with LiveServer() as live, subscriber(live) as browser:
        reply = await browser.command("subscribe", {"channel": channel})
        assert reply["error"] == {"code": code, "message": message}
        assert (await browser.subscribe("1/stream/pg/" + "m" * 150))["subscribe"] == {}


async def test_a_second_subscription_is_an_error() -> None:
    """The same channel twice on one socket is centrifuge's error 105; a command nobody knows is 104."""
    async with LiveServer() as live, subscriber(live) as browser:
        await browser.subscribe("1/stream/pg/m")
        assert (await browser.subscribe("1/stream/pg/m"))["error"]["code"] == 105
        assert (await browser.command("publish", {}))["error"]["code"] == 104


@pytest.mark.parametrize("first", ["not json", "[]", '{"id":1,"subscribe":{"channel":"1/stream/pg/m"}}'])
async def test_nonsense_ends_the_connection(first: str) -> None:
    """What is no command, and a command before the hello, is answered with a disconnect."""
    async with LiveServer() as live, websocket(live, BROWSER, bearer(live.token)) as connection:
        await connection.send_message(first)
        assert await close_code(Subscriber(connection)) == 3501


@pytest.mark.parametrize(("namespaced", "prefixes"), [(False, ["1/"]), (True, ["default/", "1/"])])
async def test_the_prefix_follows_the_version(namespaced: bool, prefixes: list[str]) -> None:
    """Organisation 1 is ``1/``; with namespaces it is ``default/`` as well, and pushes carry the name that was used."""
    async with LiveServer(live_namespaced=namespaced) as live, pusher(live) as push:
        for prefix in ("default/", "1/"):
            async with subscriber(live) as browser:
                reply = await browser.subscribe(f"{prefix}stream/pg/m")
                assert ("subscribe" in reply) == (prefix in prefixes)
                if prefix in prefixes:
                    await push.send_message("m v=1 5")
                    assert (await browser.publication())[0] == f"{prefix}stream/pg/m"


async def test_a_browser_that_answers_pings_stays_and_a_silent_one_goes() -> None:
    """The server's ping is an empty object and wants one back."""
    async with (
        LiveServer(ping_interval_s=0.1) as live,
        subscriber(live) as lively,
        subscriber(live) as silent,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer_pings, lively, 4)
            assert await close_code(silent) == 3012
        assert (await lively.subscribe("1/stream/pg/m"))["subscribe"] == {}


async def answer_pings(browser: Subscriber, count: int) -> None:
    for _ in range(count):
        assert await browser.receive() == {}
        await browser.connection.send_message("{}")


async def test_a_lagging_browser_is_dropped_and_the_pusher_is_not_slowed_down() -> None:
    """Who does not read loses its subscription; the pusher's pings and other browsers are served all the while."""
    async with LiveServer() as live, pusher(live) as push, subscriber(live) as reader:
        await reader.subscribe("1/stream/pg/m")
        stream, protocol = await raw_websocket(live, BROWSER)
        async with stream:
            protocol.send_text(b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"1/stream/pg/m"}}')
            await flush(stream, protocol)
            for _ in range(2):
                await read_frame(stream, protocol)
            assert live.channels.subscriptions == 2
            text = "x" * 500_000
            while live.channels.subscriptions == 2:
                await push.send_message(f'm v="{text}" 5')
                await push.ping()
                await reader.publication()
            assert live.channels.subscriptions == 1


async def test_a_name_that_is_not_utf8_goes_out_as_it_came() -> None:
    """A field key that is not UTF-8 is poison: the text message a browser gets for it is not UTF-8 either."""
    async with LiveServer() as live, pusher(live) as push:
        stream, protocol = await raw_websocket(live, BROWSER)
        async with stream:
            protocol.send_text(b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"1/stream/pg/m"}}')
            await flush(stream, protocol)
            for _ in range(2):
                await read_frame(stream, protocol)
            await push.send_message(b'm a\xffb="\xff" 5')
            frame = await read_frame(stream, protocol)
            assert b'"a\xffb"' in frame.data
            assert '["�"]'.encode() in frame.data


async def test_commands_in_one_message_are_answered_in_order() -> None:
    """Several commands, separated by newlines, may come in one message."""
    async with LiveServer() as live, websocket(live, BROWSER, bearer(live.token)) as connection:
        commands = [{"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "1/stream/pg/m"}}]
        await connection.send_message("\n".join(json.dumps(command) for command in commands) + "\n")
        browser = Subscriber(connection)
        assert [(await browser.receive())["id"] for _ in range(2)] == [1, 2]
