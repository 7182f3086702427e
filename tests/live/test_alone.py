"""The stand-in as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import httpx
import pytest

from tests.live.clients import bearer

_PROGRAM = "import trio; from trio_bridge.live.alone import serve_alone; trio.run(serve_alone, 0)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_on_a_signal(number: signal.Signals) -> None:
    """One JSON line on stdout once it listens, nothing else, and exit code 0 on SIGTERM and SIGINT."""
    process = subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())
        posted = httpx.post(
            f"{where['url']}/api/live/push/pg", headers=bearer(where["token"]), content=b"m v=1 5"
        )
        assert posted.status_code == 200
        process.send_signal(number)
        assert process.stdout.read() == ""
    assert process.returncode == 0
