"""Bytes of strangers on the network: requests to the status port, and a Grafana that says anything."""

from __future__ import annotations

import random
import string

import httpx
import pytest
import trio

from tests.grafana.raw_peer import accept, listen, says
from tests.pg import Database
from tests.waiting import wait_until
from tests.web.serving import serving
from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import SinkError
from trio_bridge.grafana.push import open_push
from trio_bridge.live.server import LiveServer
from trio_bridge.secret import Secret
from trio_bridge.web.serve import IDLE_S

TOKEN = "glsa_fuzzfuzzfuzzfuzz"
METHODS = ["GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "CONNECT", "get", "PRI"]
PATHS = [
    "/", "/metrics", "/status.json", "/events", "/readyz", "*", "/%00", "/..%2f..", "/" + "a" * 9000, "http://h/",
]  # fmt: skip
HEADERS = [
    "Host: h", "Host: h\r\nHost: i", "Content-Length: -1", "Content-Length: 99999999999", "Transfer-Encoding: chunked",
    "Upgrade: h2c", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x", "Expect: 100-continue",
    "X: " + "y" * 5000, "\x00: \x00", ": x", "Range: bytes=0-", "Accept-Encoding: gzip",
]  # fmt: skip
ENDS = ["\r\n\r\n"] * 4 + ["\r\n", "\n\n", "\r\n\r\n{}", "\r\n\r\nffffffffff\r\n"]


def request(dice: random.Random) -> bytes:
    """One request, or what passes for one."""
    if dice.random() < 0.2:
        return dice.randbytes(dice.randrange(200))
    path = dice.choice([*PATHS, "/?" + "".join(dice.choices(string.printable, k=20))])
    version = dice.choice(["HTTP/1.1"] * 6 + ["HTTP/1.0", "HTTP/2.0", "HTTP/9", ""])
    lines = [f"{dice.choice(METHODS)} {path} {version}", *dice.choices(HEADERS, k=dice.randrange(6))]
    return ("\r\n".join(lines) + dice.choice(ENDS)).encode("latin-1", "replace")


async def answered(client: httpx.AsyncClient) -> bool:
    """Whether a probe is answered: connections that strangers left take a place each until they are cut."""
    try:
        return (await client.get("/livez")).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.deadline(60)
async def test_requests_to_the_status_port(database: Database) -> None:
    """Hundreds of broken requests are answered or cut; probes work afterwards, and rows never noticed."""
    dice = random.Random(131)
    async with LiveServer() as live, serving(database, live) as (service, client):
        await live.wait_connections(1)
        port = httpx.URL(str(service.url)).port or 0

        async def ask(data: bytes) -> None:
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                try:
                    await stream.send_all(data)
                    await stream.send_eof()
                    with trio.move_on_after(0.2):
                        while await stream.receive_some():
                            pass
                except trio.BrokenResourceError:
                    # Cut in the middle: an answer too.
                    return

        for _ in range(8):
            async with trio.open_nursery() as nursery:
                for _ in range(30):
                    nursery.start_soon(ask, request(dice))
        with trio.fail_after(3 * IDLE_S):
            while not await answered(client):
                await trio.sleep(0.1)
        database.execute("INSERT INTO live_metrics (value) VALUES (1)")
        await wait_until(lambda: service.routes[0].ledger.statistics().acknowledged == 1)
        assert service.routes[0].ledger.statistics().restarts == 0


HEADS = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 101 Switching Protocols\r\n", b"HTTP/1.1 302 Found\r\n", b"HTTP/9", b"\x16\x03",
]  # fmt: skip
PARTS = [
    b"\r\n", b"\r\n\r\n", b"Location: http://" + TOKEN.encode(), b"Content-Length: 5\r\n", b"Upgrade: websocket\r\n",
    TOKEN.encode(), b"\x81\x05hello", b"\x88\x80", b"\x89\x00", b"\x8a\x7f", b"\xff" * 9, b"\x82\x7e\xff\xff",
]  # fmt: skip


async def push_to_the_end(grafana: GrafanaSettings) -> None:
    async with open_push(grafana, "pg") as connection:
        while True:
            await connection.receive()


@pytest.mark.deadline(60)
async def test_a_grafana_that_says_anything() -> None:
    """Hundreds of answers and frames of any bytes: each ends in one SinkError, on one line and without the token."""
    dice = random.Random(97)
    answer = b""
    opens = False

    def noise() -> bytes:
        return b"".join(dice.choices(PARTS, k=dice.randrange(6))) + dice.randbytes(dice.randrange(20))

    async def say(stream: trio.abc.Stream) -> None:
        if opens:
            await accept(stream)
            await stream.send_all(answer)
        else:
            await says(answer)(stream)

    async with trio.open_nursery() as nursery:
        port = await listen(nursery, say)
        grafana = GrafanaSettings(url=f"http://127.0.0.1:{port}", token=Secret(TOKEN), connect_timeout_s=5)
        for number in range(200):
            opens = number % 2 == 0
            answer = noise() if opens else dice.choice(HEADS) + noise()
            with pytest.raises(SinkError) as refusal:
                await push_to_the_end(grafana)
            assert TOKEN not in str(refusal.value).lower()
            assert "\n" not in str(refusal.value)
        nursery.cancel_scope.cancel()
