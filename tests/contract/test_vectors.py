"""The messages of push_vectors.json, sent to the target: a Grafana 9.4 made of them what stands there."""

from __future__ import annotations

from typing import Any

from tests.contract.target import Target, fresh_stream
from tests.live.clients import Subscriber
from tests.live.test_vectors import VECTORS, message


def expected_values(vector: dict[str, Any], frame: dict[str, Any], seen: list[list[Any]]) -> list[list[Any]]:
    """The cells that should come; where a time is the server's own, the one that came."""
    if not vector.get("server_time"):
        return list(frame["values"])
    time_column = 0 if vector["format"] == "wide" else 1
    return [
        cells
        if column != time_column
        else [
            came if expected % 1_000_000_000 else expected
            for came, expected in zip(seen[column], cells, strict=True)
        ]
        for column, cells in enumerate(frame["values"])
    ]


async def subscribed(target: Target, browser: Subscriber, stream: str, frame: dict[str, Any]) -> str | None:
    """The full name of the frame's channel, if it could be subscribed to, as the vector says."""
    name = f"{target.prefix}stream/{stream}/{frame['channel'].split('/', 2)[2]}"
    reply = await browser.subscribe(name)
    if not frame["subscribable"]:
        assert reply["error"] == frame["subscribe_error"]
        return None
    assert reply.get("error", {}).get("code") in (None, 105)
    return name


async def test_all_vectors(target: Target) -> None:
    """Each message gets the status, and a subscriber the publications, that the vector has; poison is left out."""
    async with target.http(target.admin) as client, target.subscriber() as browser:
        for vector in VECTORS:
            # A browser that gets it loses its connection: not what this test is about.
            if any(frame.get("invalid_utf8_published") for frame in vector["frames"]):
                continue
            stream = fresh_stream()
            names = {await subscribed(target, browser, stream, frame) for frame in vector["frames"]} - {None}
            answer = await client.post(
                f"/api/live/push/{stream}",
                params={"gf_live_frame_format": vector["format"]},
                content=message(vector),
            )
            assert (answer.status_code, answer.content) == (vector["http_status"], b""), vector["name"]
            for frame in vector["frames"]:
                if not frame["subscribable"]:
                    continue
                _, seen = await browser.publication()
                assert seen.get("schema") == (frame["schema"] if frame["schema_sent"] else None), vector[
                    "name"
                ]
                came = seen["data"]["values"]
                assert came == expected_values(vector, frame, came), vector["name"]
            # A browser may have 128 channels at a time.
            for name in names:
                await browser.command("unsubscribe", {"channel": name})
