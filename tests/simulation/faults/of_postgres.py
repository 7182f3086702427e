"""What may befall Postgres, its sessions and the way to it; each method is one fault, over when it returns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.simulation.faults.making import Making
from tests.simulation.network import Names, Way
from tests.simulation.postgres import Connection, ModelServer, Refusal
from trio_bridge.listener.table_source import BELL_CHANNEL


class PostgresFaults:
    """See the module.

    Args:
        making: what all faults share.
        server: Postgres.
        ways: of the replicas to it.
        names: the DNS.
    """

    def __init__(self, making: Making, server: ModelServer, ways: list[Way], names: Names) -> None:
        self._making = making
        self._server = server
        self._cluster = server.cluster
        self._ways = ways
        self._names = names

    async def terminate_backend(self) -> None:
        """An administrator, or the kernel, ends a session: the bridge's or, as often, anybody's."""
        if self._making.random.random() < 0.5:
            if connection := self._session():
                self._making.note("terminate_backend", pid=connection.backend.pid)
                connection.terminate()
        elif self._cluster.backends:
            backend = self._making.random.choice(self._cluster.backends)
            self._making.note("terminate_backend", pid=backend.pid)
            backend.end("FATAL: terminating connection due to administrator command (57P01)")

    async def half_open(self) -> None:
        """Neither side hears the other any more."""
        if connection := self._session():
            self._making.note("half_open", pid=connection.backend.pid)
            connection.vanish()

    async def lose_packet(self) -> None:
        """The next message is lost, and its direction with it."""
        way = self._making.random.choice(self._ways)
        way.lose += 1
        self._making.note("lose_packet")
        await self._making.last(0.0, 1.0)
        way.lose = 0

    async def unlisten(self) -> None:
        """The session lives, its LISTEN is gone."""
        if connection := self._session():
            self._making.note("unlisten", pid=connection.backend.pid)
            connection.unlisten()

    async def discard_all(self) -> None:
        """A pooler's DISCARD ALL: LISTEN, locks and prepared statements are gone."""
        if connection := self._session():
            self._making.note("discard_all", pid=connection.backend.pid)
            connection.discard_all()

    async def crash(self) -> None:
        """Immediate crash; what was not flushed may be lost."""
        if self._cluster.up:
            keep = self._of(self._cluster.crash_range)
            self._making.note("crash", keep=keep, of=self._cluster.crash_range)
            self._cluster.crash(keep)
            await self._down()

    async def failover(self) -> None:
        """A standby is promoted; it may lack commits that were acknowledged."""
        if self._cluster.up:
            keep = self._of(self._cluster.failover_range)
            self._making.note("failover", keep=keep, of=self._cluster.failover_range)
            self._cluster.failover(keep)
            await self._down()

    async def restart_server(self) -> None:
        """An orderly restart."""
        if self._cluster.up:
            self._making.note("restart_server")
            self._cluster.stop()
            await self._down()

    async def starting_up(self) -> None:
        """It lets nobody in yet."""
        await self._refuse("starting_up", Refusal.STARTING)

    async def too_many_clients(self) -> None:
        """All its sessions are taken."""
        await self._refuse("too_many_clients", Refusal.FULL)

    async def login_refused(self) -> None:
        """The password was changed."""
        await self._refuse("login_refused", Refusal.LOGIN)

    async def lock_table(self) -> None:
        """A stranger's ACCESS EXCLUSIVE."""
        if not self._cluster.table_locked:
            self._cluster.lock_table()
            self._making.note("lock_table")
            try:
                await self._making.last(0.05, 3.0)
            finally:
                self._cluster.unlock_table()

    async def refuse_checkpoint(self) -> None:
        """Read only, forbidden, or the disk is full."""
        if self._cluster.checkpoint_refusal is None:
            sqlstate = self._making.random.choice(("25006", "42501", "53100"))
            self._making.note("refuse_checkpoint", sqlstate=sqlstate)
            self._cluster.checkpoint_refusal = sqlstate
            try:
                await self._making.last(0.2, 4.0)
            finally:
                self._cluster.checkpoint_refusal = None

    async def hold_gate(self) -> None:
        """A stranger takes the gate, if it is free, shared or not."""
        stranger = self._cluster.connect()
        try:
            if stranger.try_gate(shared=self._making.random.random() < 0.5):
                self._making.note("hold_gate", pid=stranger.pid)
                await self._making.last(0.1, 6.0)
        finally:
            stranger.end()

    async def forge_bells(self) -> None:
        """Any role can ring: our channel, with a payload of ours or not."""
        oid = str(self._cluster.oid).encode()
        stranger = self._cluster.connect()
        self._making.note("forge_bells")
        for _ in range(self._making.random.randint(1, 60)):
            # A stranger's commit waits for its turn as everybody's.
            if not stranger.in_transaction:
                stranger.notify(BELL_CHANNEL, self._making.random.choice((b"*", b"", oid, b"1", b"\xff")))
            await self._making.last(0.0, 0.02)
        stranger.end()

    async def disable_trigger(self) -> None:
        """ALTER TABLE … DISABLE TRIGGER, or ENABLE where there was none."""
        before = self._cluster.trigger
        self._making.note("disable_trigger", now=not before)
        self._cluster.trigger = not before
        try:
            await self._making.last(0.2, 4.0)
        finally:
            self._cluster.trigger = before

    async def slow_network(self) -> None:
        """The way to Postgres is long for a while."""
        way = self._making.random.choice(self._ways)
        self._making.note("slow_network")
        way.added_s = self._making.random.choice((0.01, 0.1, 0.4))
        try:
            await self._making.last(0.2, 4.0)
        finally:
            way.added_s = 0.0

    async def no_name(self) -> None:
        """The DNS fails."""
        self._making.note("no_name")
        self._names.broken = True
        try:
            await self._making.last(0.2, 3.0)
        finally:
            self._names.broken = False

    def _session(self) -> Connection | None:
        """One of the bridge's."""
        connections = self._server.connections
        return self._making.random.choice(connections) if connections else None

    def _of(self, span: tuple[int, int]) -> int:
        """Somewhere in it; its ends count for more."""
        return self._making.random.choice(
            (*span, self._making.random.randint(*span), self._making.random.randint(*span))
        )

    async def _down(self) -> None:
        try:
            await self._making.last(0.05, 1.5)
        finally:
            self._cluster.start()

    async def _refuse(self, name: str, refusal: Refusal) -> None:
        with self._refusing(refusal) as begun:
            if begun:
                self._making.note(name)
                await self._making.last(0.1, 3.0)

    @contextmanager
    def _refusing(self, refusal: Refusal) -> Iterator[bool]:
        if self._server.refusal is not None:
            yield False
            return
        self._server.refusal = refusal
        try:
            yield True
        finally:
            self._server.refusal = None
