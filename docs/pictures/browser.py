"""A headless Chromium, told what to do over its DevTools protocol: pages in, screenshots out.

For pictures of the demo's page only. Chromium is no dependency of this project; where there is none, one sentence says
so. Owns the process and its profile: both are gone when `open_browser` is left.
"""
# A script's neighbour, not a package; it waits for another process, and for nobody else.
# ruff: noqa: INP001, ASYNC110, ASYNC220, ASYNC240

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import trio
import trio_websocket

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_START_LIMIT_S = 30.0
_MESSAGE_LIMIT_BYTES = 64 * 1024 * 1024


class Tab:
    """One tab; made by `open_browser`."""

    def __init__(self, connection: trio_websocket.WebSocketConnection) -> None:
        self._connection = connection
        self._ids = itertools.count(1)

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """One command of the DevTools protocol and its result; events meanwhile are passed over.

        Raises:
            RuntimeError: the browser refused it.
        """
        number = next(self._ids)
        await self._connection.send_message(
            json.dumps({"id": number, "method": method, "params": parameters})
        )
        while True:
            answer = json.loads(await self._connection.get_message())
            if answer.get("id") != number:
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']['message']}")
            result: dict[str, Any] = answer["result"]
            return result

    async def evaluate(self, expression: str) -> Any:
        """What a JavaScript expression comes to, as JSON types; a promise is awaited."""
        result = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    async def wait(self, expression: str) -> None:
        """Until a JavaScript expression is true."""
        while not await self.evaluate(f"Boolean({expression})"):
            await trio.sleep(0.01)

    async def screenshot(self, path: Path, selector: str, *, margin: int = 16) -> None:
        """Writes what one element looks like, with `margin` pixels around it, as PNG."""
        box = await self.evaluate(
            f"(({{x, y, width, height}}) => ({{x, y, width, height}}))"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        clip = {
            "x": box["x"] - margin,
            "y": box["y"] - margin,
            "width": box["width"] + 2 * margin,
            "height": box["height"] + 2 * margin,
            "scale": 1,
        }
        result = await self.call("Page.captureScreenshot", format="png", clip=clip)
        path.write_bytes(base64.b64decode(result["data"]))


@asynccontextmanager
async def open_browser(width: int, height: int) -> AsyncIterator[Tab]:
    """A tab of a browser of its own, `width` times `height` pixels.

    Raises:
        SystemExit: there is no Chromium.
    """
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        raise SystemExit(f"no browser: install one of {', '.join(_NAMES)} (this project needs none of them)")
    with tempfile.TemporaryDirectory(prefix="trio-bridge-browser-") as profile:
        port_file = Path(profile, "DevToolsActivePort")
        process = subprocess.Popen(  # noqa: S603
            [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--remote-debugging-port=0", f"--user-data-dir={profile}", f"--window-size={width},{height}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            with trio.fail_after(_START_LIMIT_S):
                while not port_file.exists() or not port_file.read_text():
                    await trio.sleep(0.05)
            async with httpx.AsyncClient() as client:
                port = port_file.read_text().splitlines()[0]
                tabs = (await client.get(f"http://127.0.0.1:{port}/json/list")).json()
            url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with trio_websocket.open_websocket_url(
                url, max_message_size=_MESSAGE_LIMIT_BYTES
            ) as connection:
                tab = Tab(connection)
                await tab.call(
                    "Emulation.setDeviceMetricsOverride",
                    width=width, height=height, deviceScaleFactor=1, mobile=False,
                )  # fmt: skip
                yield tab
        finally:
            # Its helpers would write into the profile while that is being removed.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
