"""Everything that may befall the bridge, its Postgres and its Grafana; each method is one fault, over when it returns.

Cancelled, a fault ends at once and leaves no condition behind: quiet is quiet. What a fault has broken for good (a
connection, a process) stays broken: that is what the bridge has to get over.
"""

from __future__ import annotations

import random
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import trio

from tests.simulation.live import LiveModel
from tests.simulation.network import Way
from tests.simulation.postgres import BackendEnded, Connection, Down, ModelServer, Refusal
from tests.simulation.process import Bridge
from tests.simulation.trace import Trace
from trio_bridge.listener.table_source import BELL_CHANNEL

DRAIN_S = 5.0
"""What a stop by signal may take: the setting's default."""


class Names(trio.abc.HostnameResolver):
    """The DNS of the simulation: it knows everybody, unless it is broken."""

    def __init__(self) -> None:
        self.broken = False

    async def getaddrinfo(self, *_: Any) -> list[Any]:
        """See `trio.abc.HostnameResolver`."""
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.1", 5432))]

    async def getnameinfo(self, *_: Any) -> tuple[str, str]:
        """See `trio.abc.HostnameResolver`."""
        raise AssertionError("nobody asks for an address' name")


class Faults:
    """See the module.

    Args:
        rng: decides moments and sizes.
        trace: told.
        server: Postgres.
        live: Grafana.
        bridges: the replicas.
        ways: theirs to Postgres.
        names: the DNS.

    Attributes:
        made: how many of each kind really happened.
        overdue: what did not end in the time promised.
    """

    def __init__(
        self,
        rng: random.Random,
        trace: Trace,
        *,
        server: ModelServer,
        live: LiveModel,
        bridges: list[Bridge],
        ways: list[Way],
        names: Names,
    ) -> None:
        self.made: Counter[str] = Counter()
        self.overdue: list[str] = []
        self._random = rng
        self._trace = trace
        self._server = server
        self._cluster = server.cluster
        self._live = live
        self._bridges = bridges
        self._ways = ways
        self._names = names

    async def happen(self, name: str) -> None:
        """The fault `name`, to its end."""
        # A fault of a server that is away, or of a session that another fault has ended, is none.
        with suppress(Down, BackendEnded):
            await getattr(self, name)()

    # Postgres.

    async def terminate_backend(self) -> None:
        """An administrator, or the kernel, ends a session: the bridge's or, as often, anybody's."""
        if self._random.random() < 0.5:
            if connection := self._session():
                self._note("terminate_backend", pid=connection.backend.pid)
                connection.terminate()
        elif self._cluster.backends:
            backend = self._random.choice(self._cluster.backends)
            self._note("terminate_backend", pid=backend.pid)
            backend.end("FATAL: terminating connection due to administrator command (57P01)")

    async def half_open(self) -> None:
        """Neither side hears the other any more."""
        if connection := self._session():
            self._note("half_open", pid=connection.backend.pid)
            connection.vanish()

    async def lose_packet(self) -> None:
        """The next message is lost, and its direction with it."""
        way = self._random.choice(self._ways)
        way.lose += 1
        self._note("lose_packet")
        await self._last(0.0, 1.0)
        way.lose = 0

    async def unlisten(self) -> None:
        """The session lives, its LISTEN is gone."""
        if connection := self._session():
            self._note("unlisten", pid=connection.backend.pid)
            connection.unlisten()

    async def discard_all(self) -> None:
        """A pooler's DISCARD ALL: LISTEN, locks and prepared statements are gone."""
        if connection := self._session():
            self._note("discard_all", pid=connection.backend.pid)
            connection.discard_all()

    async def crash(self) -> None:
        """Immediate crash; what was not flushed may be lost."""
        if self._cluster.up:
            keep = self._of(self._cluster.crash_range)
            self._note("crash", keep=keep, of=self._cluster.crash_range)
            self._cluster.crash(keep)
            await self._down()

    async def failover(self) -> None:
        """A standby is promoted; it may lack commits that were acknowledged."""
        if self._cluster.up:
            keep = self._of(self._cluster.failover_range)
            self._note("failover", keep=keep, of=self._cluster.failover_range)
            self._cluster.failover(keep)
            await self._down()

    async def restart_server(self) -> None:
        """An orderly restart."""
        if self._cluster.up:
            self._note("restart_server")
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
            self._note("lock_table")
            try:
                await self._last(0.05, 3.0)
            finally:
                self._cluster.unlock_table()

    async def refuse_checkpoint(self) -> None:
        """Read only, forbidden, or the disk is full."""
        if self._cluster.checkpoint_refusal is None:
            sqlstate = self._random.choice(("25006", "42501", "53100"))
            self._note("refuse_checkpoint", sqlstate=sqlstate)
            self._cluster.checkpoint_refusal = sqlstate
            try:
                await self._last(0.2, 4.0)
            finally:
                self._cluster.checkpoint_refusal = None

    async def hold_gate(self) -> None:
        """A stranger takes the gate, if it is free, shared or not."""
        stranger = self._cluster.connect()
        try:
            if stranger.try_gate(shared=self._random.random() < 0.5):
                self._note("hold_gate", pid=stranger.pid)
                await self._last(0.1, 6.0)
        finally:
            stranger.end()

    async def forge_bells(self) -> None:
        """Any role can ring: our channel, with a payload of ours or not."""
        oid = str(self._cluster.oid).encode()
        stranger = self._cluster.connect()
        self._note("forge_bells")
        for _ in range(self._random.randint(1, 60)):
            # A stranger's commit waits for its turn as everybody's.
            if not stranger.in_transaction:
                stranger.notify(BELL_CHANNEL, self._random.choice((b"*", b"", oid, b"1", b"\xff")))
            await self._last(0.0, 0.02)
        stranger.end()

    async def disable_trigger(self) -> None:
        """ALTER TABLE … DISABLE TRIGGER, or ENABLE where there was none."""
        before = self._cluster.trigger
        self._note("disable_trigger", now=not before)
        self._cluster.trigger = not before
        try:
            await self._last(0.2, 4.0)
        finally:
            self._cluster.trigger = before

    async def slow_network(self) -> None:
        """The way to Postgres is long for a while."""
        way = self._random.choice(self._ways)
        self._note("slow_network")
        way.added_s = self._random.choice((0.01, 0.1, 0.4))
        try:
            await self._last(0.2, 4.0)
        finally:
            way.added_s = 0.0

    async def no_name(self) -> None:
        """The DNS fails."""
        self._note("no_name")
        self._names.broken = True
        try:
            await self._last(0.2, 3.0)
        finally:
            self._names.broken = False

    # The bridge.

    async def kill_bridge(self) -> None:
        """SIGKILL."""
        bridge = self._random.choice(self._bridges)
        if bridge.alive:
            self._note("kill_bridge", replica=bridge.number)
            bridge.kill()

    async def freeze_bridge(self) -> None:
        """SIGSTOP, and some seconds later SIGCONT: sometimes before Postgres ends its session, sometimes after."""
        bridge = self._random.choice(self._bridges)
        if bridge.alive and not bridge.freezer.frozen:
            self._note("freeze_bridge", replica=bridge.number)
            bridge.freezer.freeze()
            try:
                await self._last(0.1, 8.0)
            finally:
                bridge.freezer.thaw()

    async def stop_bridge(self) -> None:
        """SIGTERM: it must end within the time that a drain may take."""
        bridge = self._random.choice(self._bridges)
        if bridge.alive and not bridge.freezer.frozen:
            self._note("stop_bridge", replica=bridge.number)
            ended = bridge.terminate()
            with trio.move_on_after(DRAIN_S + 0.1):
                await ended.wait()
                return
            if not bridge.freezer.frozen:
                self.overdue.append(f"replica {bridge.number} was told to stop and did not in {DRAIN_S:g} s")

    async def flip_mode(self) -> None:
        """The other mode, as soon as may be, a few times."""
        bridge = self._random.choice(self._bridges)
        for _ in range(self._random.randint(1, 10)):
            if bridge.route is not None:
                self._note("flip_mode", replica=bridge.number)
                bridge.route.flip_mode()
            await self._last(0.01, 0.3)

    # Grafana.

    async def cut_push(self) -> None:
        """FIN or RST."""
        reset = self._random.random() < 0.5
        self._note("cut_push", reset=reset)
        self._live.cut(reset=reset)

    async def close_push(self) -> None:
        """A close frame."""
        code = self._random.choice((1000, 1001, 1008, 1009, 1011, 1012, 1013, 4000))
        self._note("close_push", code=code)
        self._live.close(code)

    async def mute(self) -> None:
        """It reads nothing."""
        self._note("mute")
        self._live.mute(self._random.uniform(0.2, 12.0))

    async def slow_reader(self) -> None:
        """It reads slowly."""
        self._note("slow_reader")
        self._live.slow(self._random.choice((2_000, 10_000, 50_000)), self._random.uniform(0.5, 8.0))

    async def silence_pongs(self) -> None:
        """It processes everything and answers nothing."""
        self._note("silence_pongs")
        self._live.silence_pongs(self._random.uniform(0.2, 12.0))

    async def drop_pongs(self) -> None:
        """Some pongs are lost."""
        self._note("drop_pongs")
        self._live.drop_pongs(self._random.randint(1, 4), self._random.uniform(0.2, 6.0))

    async def delay_pongs(self) -> None:
        """Its answers are late."""
        self._note("delay_pongs")
        self._live.delay_pongs(self._random.choice((0.05, 0.5, 2.0)), self._random.uniform(0.2, 6.0))

    async def refuse_dials(self) -> None:
        """Nobody listens."""
        self._note("refuse_dials")
        self._live.refuse_dials(self._random.uniform(0.1, 3.0))

    async def refuse_upgrades(self) -> None:
        """It answers, but not with 101."""
        status = self._random.choice((401, 403, 404, 429, 500, 502, 503))
        retry_after_s = self._random.choice((None, 1.0, 5.0)) if status in (429, 503) else None
        self._note("refuse_upgrades", status=status)
        self._live.refuse_upgrades(status, self._random.uniform(0.1, 4.0), retry_after_s)

    async def restart_grafana(self) -> None:
        """All sockets end, its cache is lost."""
        self._note("restart_grafana")
        self._live.restart(self._random.uniform(0.1, 2.0))

    async def stray_pong(self) -> None:
        """A pong that answers nothing."""
        self._note("stray_pong")
        self._live.stray_pong()

    async def flood_pings(self) -> None:
        """Many pings at once."""
        self._note("flood_pings")
        self._live.flood_pings(self._random.randint(1, 50))

    async def say(self) -> None:
        """A message that nobody expects."""
        self._note("say")
        self._live.say("hello")

    # What they share.

    def _note(self, name: str, **details: object) -> None:
        self.made[name] += 1
        self._trace.note("fault", name, **details)

    def _session(self) -> Connection | None:
        """One of the bridge's."""
        connections = self._server.connections
        return self._random.choice(connections) if connections else None

    def _of(self, span: tuple[int, int]) -> int:
        """Somewhere in it; its ends count for more."""
        return self._random.choice((*span, self._random.randint(*span), self._random.randint(*span)))

    async def _last(self, least_s: float, most_s: float) -> None:
        await trio.sleep(self._random.uniform(least_s, most_s))

    async def _down(self) -> None:
        try:
            await self._last(0.05, 1.5)
        finally:
            self._cluster.start()

    async def _refuse(self, name: str, refusal: Refusal) -> None:
        with self._refusing(refusal) as begun:
            if begun:
                self._note(name)
                await self._last(0.1, 3.0)

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
