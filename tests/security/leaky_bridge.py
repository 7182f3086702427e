"""``python -m tests.security.leaky_bridge``: the bridge with bugs where secrets lie about in variables.

It takes the command line of ``trio_bridge``. The first run of a route fails while its connection string, with the
password in it, is made; the second one when it has something to send, with the ``Authorization`` header in hand; the
third works. ``LEAK_LAST=1`` makes a bug end the whole program instead. The product has no hook for this: the bugs are
patched in here.
"""

from __future__ import annotations

import itertools
import os
from typing import Any, Final
from unittest import mock

from trio_bridge import route, service
from trio_bridge.cli import main
from trio_bridge.config.settings import PostgresSettings
from trio_bridge.grafana.push import PushConnection
from trio_bridge.postgres.conninfo import resolve

PROGRAM: Final = "tests.security.leaky_bridge"
BUG: Final = "a bug on purpose"

_runs = itertools.count(1)
_messages = itertools.count(1)
_send = PushConnection.send


async def _resolve_badly(settings: PostgresSettings, name: str) -> list[str]:
    attempts = await resolve(settings, name)
    if next(_runs) == 1:
        raise RuntimeError(BUG)
    return attempts


async def _send_badly(self: PushConnection, data: bytes) -> None:
    revealed = self._credentials.reveal()
    if next(_messages) == 1:
        raise RuntimeError(f"{BUG}: {len(revealed)}")
    await _send(self, data)


async def _serve_badly(*args: Any, **kwargs: Any) -> int:  # noqa: ARG001
    settings = args[0]
    revealed = settings.grafana.token.reveal()
    raise RuntimeError(f"{BUG}: {len(revealed)}")


if __name__ == "__main__":
    if os.environ.get("LEAK_LAST"):
        mock.patch.object(service, "run_service", _serve_badly).start()
    mock.patch.object(route, "resolve", _resolve_badly).start()
    mock.patch.object(PushConnection, "send", _send_badly).start()
    main()
