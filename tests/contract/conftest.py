"""The target of each contract test: the Live stand-in always, a real Grafana where the environment names one.

What the tests leave in a real Grafana: some channels of random names, until it restarts. ``-m 'not slow'`` leaves out
what waits for Grafana's own deadlines.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.given import GIVEN
from tests.contract.target import Target, basic
from trio_bridge.live import LiveServer

# Grafana's own, and what stands for them on the stand-in: the same proportion, a hundredth of the time.
_GRAFANA_S = (25.0, 27.78)
_STAND_IN_S = (0.25, 0.2778)


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known: markers are strict."""
    config.addinivalue_line("markers", "slow: waits half a minute, on a real Grafana")


@pytest.fixture(params=["stand-in", "grafana"] if all(GIVEN.values()) else ["stand-in"])
async def target(request: pytest.FixtureRequest) -> AsyncIterator[Target]:
    """A Grafana that runs, with its version looked up."""
    if request.param == "grafana":
        url, user, password = GIVEN.values()
        real = Target(url.rstrip("/"), basic(user, password), *_GRAFANA_S)
        await real.look()
        yield real
        await real.delete_made()
        return
    ping_interval_s, cut_after_s = _STAND_IN_S if request.node.get_closest_marker("slow") else _GRAFANA_S
    async with LiveServer(ping_interval_s=ping_interval_s, cut_after_s=cut_after_s) as live:
        stand_in = Target(live.url, basic("admin", "admin"), ping_interval_s, cut_after_s)
        await stand_in.look()
        yield stand_in
