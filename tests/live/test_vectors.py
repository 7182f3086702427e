"""What a real Grafana made of the messages in push_vectors.json, against what the stand-in makes of them."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.live.clients import bearer, http, subscriber
from trio_bridge.live import LiveServer
from trio_bridge.live.channels import Channels, is_subscribable
from trio_bridge.live.frames import convert
from trio_bridge.live.lines import BadLine, parse

_FILE = Path(__file__).parent.parent / "data" / "push_vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(_FILE.read_text())
# A value of the server's clock, where the vector has one: any other than those in the vectors.
_NOW_NS = 1_234_567_890_123_456_789


def message(vector: dict[str, Any]) -> bytes:
    if "message_b64" in vector:
        return base64.b64decode(vector["message_b64"])
    return str(vector["message"]).encode()


def stream_of(vector: dict[str, Any]) -> str:
    """The stream id that the vector was pushed to; any, if nothing was published."""
    return vector["frames"][0]["channel"].split("/")[1] if vector["frames"] else "v"


def assert_values(vector: dict[str, Any], seen: list[list[Any]], expected: list[list[Any]]) -> None:
    """Equal cells, also in the sign of zero; a time may be the server's where the vector says so."""
    assert len(seen) == len(expected)
    for column, (cells, wanted) in enumerate(zip(seen, expected, strict=True)):
        for cell, want in zip(cells, wanted, strict=True):
            is_time = column == (0 if vector["format"] == "wide" else 1)
            if is_time and vector.get("server_time") and want % 1_000_000_000:
                assert cell == _NOW_NS // 1_000_000
                continue
            assert cell == want
            assert isinstance(cell, bool) == isinstance(want, bool)
            if isinstance(want, float) and want == 0:
                assert math.copysign(1, cell) == math.copysign(1, want)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_frames_are_those_of_grafana(vector: dict[str, Any]) -> None:
    """A message is accepted or not, and becomes the same publications, as in a real Grafana."""
    channels = Channels(lambda: 0.0)
    try:
        frames = convert(parse(message(vector), lambda: _NOW_NS), vector["format"])
    except BadLine:
        assert not vector["accepted"]
        return
    assert vector["accepted"]
    publications = [channels.publish(stream_of(vector), frame) for frame in frames]
    assert len(publications) == len(vector["frames"])
    for publication, expected in zip(publications, vector["frames"], strict=True):
        published = publication.frame.to_json()
        assert (
            "�" in published.decode("utf-8", "replace") and b"\xef\xbf\xbd" not in published
        ) == expected.get("invalid_utf8_published", False)
        seen = json.loads(published.decode("utf-8", "replace"))
        assert (
            publication.channel.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            == expected["channel"]
        )
        assert seen["schema"] == expected["schema"]
        assert publication.with_schema == expected["schema_sent"]
        assert is_subscribable(publication.channel) == expected["subscribable"]
        assert_values(vector, seen["data"]["values"], expected["values"])


async def test_over_the_wire_it_is_the_same() -> None:
    """Posted to the server, every vector gets the status, and a subscriber the publications, of a real Grafana."""
    async with (
        LiveServer(now_ns=lambda: _NOW_NS) as live,
        http(live, bearer(live.token)) as client,
        subscriber(live) as browser,
    ):
        for vector in VECTORS:
            for frame in vector["frames"]:
                await check_subscription(browser, frame)
            answer = await client.post(
                f"/api/live/push/{stream_of(vector)}",
                params={"gf_live_frame_format": vector["format"]},
                content=message(vector),
            )
            assert (answer.status_code, answer.content) == (vector["http_status"], b"")
            for frame in vector["frames"]:
                if frame["subscribable"] and not frame.get("invalid_utf8_published"):
                    channel, seen = await browser.publication()
                    assert channel == f"1/{frame['channel']}"
                    assert seen.get("schema") == (frame["schema"] if frame["schema_sent"] else None)
                    assert_values(vector, seen["data"]["values"], frame["values"])


async def check_subscription(browser: Any, frame: dict[str, Any]) -> None:
    """Subscribes before the first publication, except where the publication would not be UTF-8."""
    if frame.get("invalid_utf8_published"):
        return
    reply = await browser.subscribe(f"1/{frame['channel']}")
    if frame["subscribable"]:
        assert reply.get("error", {}).get("code") in (None, 105)
    else:
        assert reply["error"] == frame["subscribe_error"]
