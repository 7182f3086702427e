"""The bridge under test: in this process, where its mode can be flipped, or as a process, which can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.security.canary import planted
from trio_bridge.config.settings import (
    GrafanaSettings,
    HttpSettings,
    PostgresSettings,
    RouteSettings,
    ServiceSettings,
    Settings,
)
from trio_bridge.live.server import LiveServer
from trio_bridge.secret import Secret
from trio_bridge.service import Service, run_service


def settings_for(dsn: str, live: LiveServer, *routes: RouteSettings, interval_ms: int = 100) -> Settings:
    """Settings that send `routes` from `dsn` to `live`."""
    return Settings(
        postgres=PostgresSettings(dsn=dsn),
        grafana=GrafanaSettings(url=live.url, token=Secret(live.token), message_interval_ms=interval_ms),
        route=routes,
        service=ServiceSettings(drain_timeout_s=20.0),
        http=HttpSettings(listen="off"),
    )


@asynccontextmanager
async def running_bridge(settings: Settings) -> AsyncIterator[Service]:
    """The service in this process; left, it is drained, and what is left of its books must balance."""
    async with trio.open_nursery() as nursery:
        service: Service = await nursery.start(run_service, settings)
        yield service
        service.stop.set()
    for route in service.routes:
        statistics = route.ledger.statistics()
        assert statistics.balanced, statistics


class BridgeProcess:
    """``python -m trio_bridge run`` with an environment of its own; *owns* the process.

    Whenever it ends, its log must not tell the token, nor any password that it was given.
    """

    def __init__(
        self, dsn: str, live: LiveServer, directory: Path, *, program: str = "trio_bridge", **route: str
    ) -> None:
        """Prepares; nothing runs before `start`.

        Args:
            dsn: where it reads.
            live: where it pushes.
            directory: for its log.
            program: the module to run; it takes the command line of ``trio_bridge``.
            route: further settings, as variables without their prefix: ``table="t"``, ``http_listen="127.0.0.1:0"``.
        """
        self._program = program
        self._log = directory / "bridge.log"
        self._environment = {
            key: value for key, value in os.environ.items() if not key.startswith("TRIO_BRIDGE_")
        } | {
            "TRIO_BRIDGE_POSTGRES_DSN": dsn,
            "TRIO_BRIDGE_GRAFANA_URL": live.url,
            "TRIO_BRIDGE_GRAFANA_TOKEN": live.token,
            # Several run at a time.
            "TRIO_BRIDGE_HTTP_LISTEN": "off",
            **{f"TRIO_BRIDGE_{key.upper()}": value for key, value in route.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *wrapper: str) -> None:
        """Start it; does not wait until it works.

        Args:
            wrapper: a command that becomes the bridge, e.g. ``("prlimit", "--nofile=16")``.
        """
        command = [*wrapper, sys.executable, "-m", self._program, "run"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """As the kernel would: no time for anything."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._assert_discreet()

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT, SIGTERM, …; does not wait."""
        assert self._process is not None
        self._process.send_signal(number)

    async def terminate(self, limit_s: float = 30) -> int:
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return await self.wait_exit(limit_s)

    async def wait_exit(self, limit_s: float = 30) -> int:
        """Until it has ended; returns the exit code."""
        assert self._process is not None
        with trio.fail_after(limit_s):
            while self._process.poll() is None:
                await trio.sleep(0.01)
        self._assert_discreet()
        return self._process.returncode

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def rss_kib(self) -> int:
        """Resident memory now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("the process has no VmRSS")

    def open_files(self) -> int:
        """File descriptors it has open."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def cpu_s(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _assert_discreet(self) -> None:
        planted(self._environment).assert_not_in(self._log.read_bytes(), f"the log of bridge {self.pid}")

    def log(self) -> list[dict[str, object]]:
        """Its log so far, a record a line."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
