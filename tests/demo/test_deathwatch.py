"""Nothing outlives the process that started it, and nobody else is harmed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.demo.processes import processes_of
from trio_bridge.demo.deathwatch import Deathwatch


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_orphan_when_the_parent_is_killed(how: signal.Signals) -> None:
    """A parent that dies without a word takes the server and its directory with it."""
    program = (
        "import sys, time\n"
        "from trio_bridge.demo.postgres import EmbeddedPostgres\n"
        "with EmbeddedPostgres() as server:\n"
        "    print(server.directory, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent, parent.stdin, parent.stdout:
        directory = Path(parent.stdout.readline().strip())
        assert processes_of(directory)
        parent.send_signal(how)
        assert parent.wait() == -how
    _wait_gone(directory)


def test_bystander_is_not_killed() -> None:
    """A number in an old file may belong to somebody else by now: who does not work here is left alone."""
    watch = Deathwatch()
    with subprocess.Popen(["sleep", "60"]) as bystander:
        watch.data.mkdir()
        (watch.data / "postmaster.pid").write_text(f"{bystander.pid}\n")
        watch.kill_all()
        watch.release()
        assert bystander.poll() is None
        bystander.terminate()
    assert not watch.directory.exists()


def test_release_twice() -> None:
    """The end may be asked for again."""
    watch = Deathwatch()
    assert watch.directory.stat().st_mode & 0o777 == 0o700
    watch.release()
    watch.release()
    assert not watch.directory.exists()


def _wait_gone(directory: Path, limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while directory.exists() or processes_of(directory):
        assert time.monotonic() < deadline, f"{directory} or its processes are left behind"
        time.sleep(0.02)
