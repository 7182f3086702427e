"""A probe row comes back under either prefix, and what is lost on the way is noticed."""

from __future__ import annotations

import pytest

from tests.doctor.world import ROUTE, broken, examined, live_grafana
from trio_bridge.config.settings import RouteSettings
from trio_bridge.live import Delivery, LiveServer

HOP = "read back stream pg"


@pytest.mark.parametrize(("namespaced", "prefix"), [(False, "1/"), (True, "default/")])
async def test_the_probe_comes_back(namespaced: bool, prefix: str) -> None:
    """The row comes back on the channel that this Grafana uses, and goes to no panel's channel."""
    heard: list[Delivery] = []
    async with LiveServer(live_namespaced=namespaced, on_message=heard.append) as live:
        found = await examined(grafana=live_grafana(live))
    assert found[HOP].status == "ok"
    assert found[HOP].sentence.endswith(f"on {prefix}stream/pg/trio_bridge_probe")
    assert [point.measurement for delivery in heard for point in delivery.points] == ["trio_bridge_probe"]


@pytest.mark.fault(78)
async def test_rows_lost_in_silence() -> None:
    """A Grafana that pongs and publishes nothing is found by the probe alone."""
    async with LiveServer() as live:
        live.faults.drop_in_silence = True
        found = await examined(grafana=live_grafana(live, ack_timeout_s=0.3))
    assert found["push socket"].status == "ok"
    broken(found[HOP], 6, "a pushed row did not come back on stream/pg/trio_bridge_probe within 0.3 s")


async def test_publishing_fails() -> None:
    """A Grafana that cuts the push socket at the first message."""
    async with LiveServer() as live:
        live.faults.fail_publishing = True
        found = await examined(grafana=live_grafana(live, ack_timeout_s=0.3))
    broken(found[HOP], 6, "did not come back")


@pytest.mark.fault(79)
async def test_a_stream_that_nobody_can_subscribe_to() -> None:
    """Grafana takes any name on push; a name that no panel can subscribe to is a broken hop."""
    async with LiveServer() as live:
        route = RouteSettings(name="long", table="t", stream="s" * 160)
        found = await examined(grafana=live_grafana(live), routes=(route,))
    broken(found[f"read back stream {'s' * 160}"], 6, "Grafana lets nobody subscribe to stream/ssss")


async def test_each_stream_is_tried_once() -> None:
    """Two routes of one stream share a probe; another stream has its own."""
    async with LiveServer() as live:
        routes = (
            ROUTE,
            RouteSettings(name="b", table="b"),
            RouteSettings(name="c", table="c", stream="other"),
        )
        found = await examined(grafana=live_grafana(live), routes=routes)
    assert [hop for hop in found if hop.startswith("read back")] == [HOP, "read back stream other"]
