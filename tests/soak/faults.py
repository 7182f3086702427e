"""What befalls the bridge during a soak: chaos' faults, and those that last.

Each is a method that makes the fault happen, lets it last, ends it and returns; everything then works as before. Times
are those of life; `scale` shortens them for a test. The bridge runs under a role of its own, so that rights can be
taken from it. *Owns* nothing beyond a call.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import trio
from psycopg import sql

from tests.chaos.bridges import BridgeProcess
from tests.chaos.run import Chaos, Plan, wait_accepting
from tests.chaos.writers import TABLE
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.live.faults import Refusal, answer
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.queries import GATE_CLASS

ROLE = "soak_bridge"

SURVIVED = (
    "terminate_backend", "crash_postgres", "restart_postgres", "kill_backend", "freeze_backend", "freeze_bridge",
    "restart_live", "cut_live", "mute_live", "hang_live", "slow_live", "refuse_503", "refuse_429", "fail_publishing",
    "hold_gate", "lock_table", "refuse_checkpoint", "disable_bell",
)  # fmt: skip
"""Faults that the bridge's process survives."""

ENDING = ("kill_bridge", "restart_bridge")
"""Faults that are the end of the bridge's process."""

_OURS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'trio_bridge %'"


@dataclass(frozen=True, slots=True)
class Injured:
    """What the faults act on."""

    server: EmbeddedPostgres
    dsn: str
    live: LiveServer
    bridge: BridgeProcess


class SoakFaults(Chaos):
    """See the module.

    Args:
        world: to act on.
        seed: decides what is left to chance.
        scale: of all times.
    """

    def __init__(self, world: Injured, *, seed: int, scale: float) -> None:
        super().__init__(Plan(0, seed), world.server, world.dsn, world.live, world.bridge)
        self._world = world
        self._scale = scale

    async def restart_postgres(self) -> None:
        """Fast shutdown, start."""
        await trio.to_thread.run_sync(self._server.restart, "fast")

    async def kill_backend(self) -> None:
        """The bridge's backend dies by kill -9: Postgres ends all sessions and recovers."""
        for pid in await self._backends():
            os.kill(pid, signal.SIGKILL)
        await trio.to_thread.run_sync(wait_accepting, self._dsn)

    async def freeze_backend(self) -> None:
        """Half-open for 20 s: the backend neither answers nor goes, and holds what it holds."""
        frozen = await self._backends()
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            await self._lasting(20)
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)

    async def freeze_bridge(self) -> None:
        """The bridge's process stands still for 20 s; Postgres cuts it off meanwhile."""
        pid = self._world.bridge.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            await self._lasting(20)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def restart_bridge(self) -> None:
        """SIGTERM, a clean end, a new process."""
        assert await self._world.bridge.terminate() == 0, "the bridge did not end cleanly"
        self._world.bridge.start()

    async def mute_live(self) -> None:
        """Messages are processed for 15 s, but nothing is acknowledged."""
        self._live.faults.mute = True
        await self._lasting(15)
        self._live.faults.mute = False

    async def hang_live(self) -> None:
        """Nothing is read for 15 s, connections stay open."""
        self._live.faults.stop_reading = True
        await self._lasting(15)
        self._live.faults.stop_reading = False

    async def slow_live(self) -> None:
        """Each message takes 0.4 s for 15 s, where ten a second come."""
        self._live.faults.seconds_per_message = 0.4
        await self._lasting(15)
        self._live.faults.seconds_per_message = 0

    async def refuse_503(self) -> None:
        """Connections are cut and new ones refused for 10 s."""
        await self._refuse(answer(503))

    async def refuse_429(self) -> None:
        """Connections are cut and new ones asked to come back in 3 s, for 10 s."""
        await self._refuse(answer(429, {"Retry-After": "3"}))

    async def _refuse(self, refusal: Refusal) -> None:
        self._live.faults.refusal = refusal
        self._live.faults.cut()
        await self._lasting(10)
        self._live.faults.refusal = None

    async def fail_publishing(self) -> None:
        """Every message ends its connection, for 10 s."""
        self._live.faults.fail_publishing = True
        await self._lasting(10)
        self._live.faults.fail_publishing = False

    async def hold_gate(self) -> None:
        """A stranger holds the gate for 15 s."""
        with self._session() as stranger:
            gate = f"SELECT pg_try_advisory_lock({GATE_CLASS}, '{TABLE}'::regclass::oid::int4)"
            with trio.fail_after(60):
                while stranger.execute(gate).fetchone() != (True,):
                    await trio.sleep(0.05)
            await self._lasting(15)

    async def lock_table(self) -> None:
        """The table is locked against everybody for 5 s."""
        with self._session() as stranger:
            stranger.autocommit = False
            await self._when_free(stranger, f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
            await self._lasting(5)
            stranger.rollback()

    async def refuse_checkpoint(self) -> None:
        """The right to write the checkpoint is taken away for 15 s."""
        rights = sql.SQL("UPDATE ON trio_bridge.checkpoint {} {}")
        role = sql.Identifier(ROLE)
        with self._session() as owner:
            owner.execute(sql.SQL("REVOKE {}").format(rights.format(sql.SQL("FROM"), role)))
            await self._lasting(15)
            owner.execute(sql.SQL("GRANT {}").format(rights.format(sql.SQL("TO"), role)))

    async def disable_bell(self) -> None:
        """The trigger is switched off for 15 s."""
        with self._session() as owner:
            await self._when_free(owner, f"ALTER TABLE {TABLE} DISABLE TRIGGER trio_bridge_bell")
            await self._lasting(15)
            await self._when_free(owner, f"ALTER TABLE {TABLE} ENABLE TRIGGER trio_bridge_bell")

    async def _lasting(self, seconds: float) -> None:
        await trio.sleep(seconds * self._scale)

    async def _when_free(self, session: psycopg.Connection, statement: str) -> None:
        """Run `statement`, which waits for writers, without making them wait behind it for long."""
        session.execute("SET lock_timeout = '200ms'")
        session.commit()
        with trio.fail_after(120):
            while True:
                try:
                    await trio.to_thread.run_sync(session.execute, statement)
                except psycopg.errors.LockNotAvailable:
                    session.rollback()
                    await trio.sleep(0.5)
                else:
                    return

    async def _backends(self) -> Sequence[int]:
        with trio.fail_after(30), self._session() as session:
            while not (found := session.execute(_OURS).fetchall()):
                await trio.sleep(0.05)
        return [pid for (pid,) in found]

    @contextmanager
    def _session(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self._dsn, autocommit=True, application_name="stranger") as session:
            yield session
