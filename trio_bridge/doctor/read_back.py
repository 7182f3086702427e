"""One probe row, pushed as the bridge pushes and read as a panel reads: the only proof of the whole way.

The row goes to a measurement of its own in the route's stream, where no panel looks. It carries a word that nobody
else knows, so that neither a cached frame nor another doctor's row is taken for it.
"""

from __future__ import annotations

import secrets
import time
from typing import Final

import trio

from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.doctor.hops import READ_BACK, Hop, Verdict, failed, ok
from trio_bridge.doctor.reach_grafana import PUSH, get
from trio_bridge.doctor.subscriber import prefixes, subscribed
from trio_bridge.errors import SinkError
from trio_bridge.grafana.credentials import authorization
from trio_bridge.grafana.push import open_push

MEASUREMENT: Final = "trio_bridge_probe"
"""Where probe rows go."""


class ReadBack:
    """The last hop of a stream; see the module.

    Args:
        settings: of Grafana.
        stream: the stream to try.
    """

    def __init__(self, settings: GrafanaSettings, stream: str) -> None:
        self._settings = settings
        self._stream = stream

    def hop(self) -> Hop:
        """The hop."""
        remedy = (
            "look at [live] in grafana.ini (max_connections, allowed_origins) and at the proxy before Grafana"
        )
        return Hop(f"read back stream {self._stream}", READ_BACK, self._probe, (PUSH,), remedy)

    async def _probe(self) -> Verdict:
        name = f"stream/{self._stream}/{MEASUREMENT}"
        channels = [prefix + name for prefix in await self._prefixes()]
        async with subscribed(self._settings) as subscriber:
            with trio.move_on_after(self._settings.ack_timeout_s):
                channel = await subscriber.subscribe(channels)
                if channel is None:
                    return failed(
                        f"Grafana lets nobody subscribe to {name}",
                        "correct `stream` of the route: A-Z a-z 0-9 _ - only, and short",
                    )
                word = secrets.token_hex(8)
                began_s = time.monotonic()
                async with open_push(self._settings, self._stream) as connection:
                    line = f'{MEASUREMENT} value=1,word="{word}" {time.time_ns()}'
                    await connection.send(line.encode())
                    await subscriber.wait_published(word)
                took_ms = 1000 * (time.monotonic() - began_s)
                return ok(f"a probe row came back in {took_ms:.0f} ms on {channel}")
        return failed(
            f"a pushed row did not come back on {name} within {self._settings.ack_timeout_s:g} s",
            "look at Grafana's log for a conversion error, and whether a proxy answers in Grafana's place",
        )

    async def _prefixes(self) -> tuple[str, ...]:
        credentials = (await authorization(self._settings)).reveal()
        settings = await self._json("/api/frontend/settings", credentials)
        # 404 where there is no such thing to ask: then it is the first organisation.
        organisation = (await self._json("/api/org", credentials)).get("id", 1)
        return prefixes(
            organisation if isinstance(organisation, int) else 1,
            namespaced=settings.get("liveNamespaced") is True,
        )

    async def _json(self, path: str, credentials: str) -> dict[str, object]:
        answer = await get(self._settings, path, credentials=credentials)
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise SinkError(f"Grafana answered {answer.status_code} to GET {path}, not with JSON")
        return body if answer.status_code == 200 else {}
