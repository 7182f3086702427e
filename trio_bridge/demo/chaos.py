"""Faults at random moments, to show that no row is lost: the same ones in the same order for the same seed.

Acts on the embedded Postgres (restarted, crashed, killed), on the bridge's session (ended by the server) and
on the Live server (restarted, cut off, hung). Each act is announced before it happens and leaves everything
running when it is over; between two acts there is time to recover. Runs until cancelled, and finishes the act
it is in.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import trio

from trio_bridge.demo.database import Database
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.live.server import LiveServer

# Time between two acts, seconds: long enough to see the recovery, short enough to see several a minute.
# Guess.
PAUSE_S = (2.0, 5.0)

# How long the Live server stays away or silent, seconds.
AWAY_S = (0.2, 2.0)


class Chaos:
    """Breaks things, one after the other.

    Attributes:
        last: what was done last, or "".
        live_up: whether the Live server is there, as far as this object's acts go.
    """

    def __init__(
        self, seed: int, database: Database, live: LiveServer | None, announce: Callable[[str], None]
    ) -> None:
        """Prepares; nothing breaks before `run`.

        Args:
            seed: decides acts and moments.
            database: its server is restarted only if it is an embedded one.
            live: None: the Grafana is somebody else's, and left alone.
            announce: told each act before it happens.
        """
        self.last = ""
        self.live_up = True
        self._random = random.Random(seed)
        self._database = database
        self._announce = announce
        self._acts: list[Callable[[], Awaitable[None]]] = [self._end_session]
        if (server := database.server) is not None:
            self._acts += [
                lambda: self._restart_postgres(server),
                lambda: self._crash_postgres(server),
                lambda: self._kill_postgres(server),
            ]
        if live is not None:
            self._acts += [
                lambda: self._restart_live(live),
                lambda: self._cut_live(live),
                lambda: self._hang_live(live),
            ]

    async def run(self) -> None:
        """One act after another, until cancelled."""
        while True:
            await trio.sleep(self._random.uniform(*PAUSE_S))
            with trio.CancelScope(shield=True):
                await self._random.choice(self._acts)()

    def _say(self, act: str) -> None:
        self.last = act
        self._announce(act)

    async def _restart_postgres(self, server: EmbeddedPostgres) -> None:
        self._say("Postgres is restarted")
        await trio.to_thread.run_sync(server.restart)

    async def _crash_postgres(self, server: EmbeddedPostgres) -> None:
        self._say("Postgres crashes (immediate shutdown)")
        await trio.to_thread.run_sync(server.restart, "immediate")

    async def _kill_postgres(self, server: EmbeddedPostgres) -> None:
        self._say("Postgres is killed (kill -9 of every process)")
        await trio.to_thread.run_sync(server.kill9)
        await trio.to_thread.run_sync(server.start)

    async def _end_session(self) -> None:
        self._say("the bridge's session is terminated")
        await trio.to_thread.run_sync(self._database.cut_bridge)

    async def _restart_live(self, live: LiveServer) -> None:
        away_s = self._random.uniform(*AWAY_S)
        self._say(f"Live is restarted, away for {away_s:.1f} s")
        self.live_up = False
        await live.restart(away_s)
        self.live_up = True

    async def _cut_live(self, live: LiveServer) -> None:
        reset = self._random.random() < 0.5
        self._say(f"the push connection is cut ({'RST' if reset else 'FIN'})")
        live.faults.cut(reset=reset)
        await trio.lowlevel.checkpoint()

    async def _hang_live(self, live: LiveServer) -> None:
        silent_s = self._random.uniform(*AWAY_S)
        self._say(f"Live hangs for {silent_s:.1f} s")
        live.faults.stop_reading = True
        try:
            await trio.sleep(silent_s)
        finally:
            live.faults.stop_reading = False
