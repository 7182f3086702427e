"""The browser's socket, when it is refused, closed or spoken to in nonsense."""

from __future__ import annotations

import pytest
import trio
from wsproto.frame_protocol import FrameProtocol

from tests.doctor.world import grafana
from tests.grafana.raw_peer import accept, listen, says
from trio_bridge.doctor.subscriber import prefixes, subscribed
from trio_bridge.errors import SinkError
from trio_bridge.live import LiveServer
from trio_bridge.secret import Secret


async def refusal(port: int, *, timeout_s: float = 5.0) -> str:
    """The sentence that subscribing ends with."""
    settings = grafana(f"http://127.0.0.1:{port}", connect_timeout_s=timeout_s)
    with pytest.raises(SinkError) as caught:
        async with subscribed(settings):
            pytest.fail("subscribed")
    return str(caught.value)


@pytest.mark.parametrize(
    ("organisation", "namespaced", "expected"),
    [(1, False, ("1/", "default/")), (1, True, ("default/", "1/")), (7, True, ("org-7/", "7/"))],
)
def test_prefixes(organisation: int, namespaced: bool, expected: tuple[str, str]) -> None:
    """The prefix that this Grafana uses comes first, the other one is tried too."""
    assert prefixes(organisation, namespaced=namespaced) == expected


async def test_a_refused_upgrade(nursery: trio.Nursery) -> None:
    """The status is in the sentence."""
    port = await listen(nursery, says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
    assert "answered 403 to the upgrade of /api/live/ws" in await refusal(port)


async def test_a_silent_upgrade(nursery: trio.Nursery) -> None:
    """An upgrade that is never answered is given up."""
    port = await listen(nursery, says(b"", then_silence=True))
    assert "did not answer the upgrade of /api/live/ws within 0.2 s" in await refusal(port, timeout_s=0.2)


async def test_live_is_switched_off(nursery: trio.Nursery) -> None:
    """The close code of a Grafana that takes no browsers names the setting."""

    async def handler(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await stream.receive_some()
        await stream.send_all(FrameProtocol(client=False, extensions=[]).close(3504, "connection limit"))
        while await stream.receive_some():
            pass

    port = await listen(nursery, handler)
    assert "(3504): [live] max_connections is reached" in await refusal(port)


async def test_nonsense(nursery: trio.Nursery) -> None:
    """What is not JSON is not Grafana."""

    async def handler(stream: trio.abc.Stream) -> None:
        await accept(stream)
        await stream.receive_some()
        await stream.send_all(FrameProtocol(client=False, extensions=[]).send_data("hello", fin=True))
        while await stream.receive_some():
            pass

    port = await listen(nursery, handler)
    assert "sends something on /api/live/ws that Grafana would not" in await refusal(port)


async def test_pings_are_answered() -> None:
    """A subscriber that waits long is not cut: it answers the server's pings."""
    async with LiveServer(ping_interval_s=0.05) as live:
        settings = grafana(live.url, token=Secret(live.token))
        async with subscribed(settings) as subscriber:
            assert await subscriber.subscribe(["1/stream/pg/t"]) == "1/stream/pg/t"
            # Longer than the server waits for the answers to several of its pings.
            with trio.move_on_after(0.3):
                await subscriber.wait_published("never")
            assert "error" in await subscriber.command("subscribe", {"channel": "1/stream/pg/t"})
