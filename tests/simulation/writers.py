"""Writers: each a session of its own that inserts rows in every way a transaction allows, at a steady mean rate.

Statement by statement they think, so that transactions overlap, commit out of order and outlast checkpoints. A writer
that loses its session, or finds the table locked, opens another one and goes on with something else. *Owns* its
backend.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from functools import cache

import trio

from tests.simulation.determinism import EPOCH_NS
from tests.simulation.plan import Plan
from tests.simulation.postgres import Backend, BackendEnded, Cluster, Down, Point, TableLocked
from tests.simulation.trace import Trace

RETRY_S = 0.1
TURN_S = 0.002
COMMIT_S = 0.02
LULL_PAUSE_S = 0.7

TEXTS = ("a", "b,c", "d e", "f=g", 'h"i', "j\\k", "é", "NaN", "")
"""What a line protocol has to escape, or must not take for something else."""


class Writer:
    """See the module.

    Args:
        cluster: to write to.
        plan: how.
        number: decides, with the seed, what it does.
        trace: told.
    """

    def __init__(self, cluster: Cluster, plan: Plan, number: int, trace: Trace) -> None:
        self._trace = trace
        self._name = f"writer {number}"
        self._cluster = cluster
        self._plan = plan
        self._random = random.Random(f"writer {plan.seed} {number}")
        self._rate = plan.rows / plan.chaos_s / plan.writers
        self._backend: Backend | None = None
        self._written = 0
        self._began = 0.0
        self._own_id = (number + 1) * 1_000_000
        kinds = {
            "one": (self._one, 6.0),
            "several": (self._several, 3.0),
            "slow": (self._slow, 1.0),
            "savepoints": (self._savepoints, 2.0),
            "rolled_back": (self._rolled_back, 1.0),
            "replica": (self._replica, 1.0),
            "own_ids": (self._own_ids, 1.0),
            "two_steps": (self._two_steps, 1.0),
            "nothing": (self._nothing, 0.5),
        }
        if plan.bulk_rows:
            kinds["bulk"] = (self._bulk, 0.5)
        # Swarm testing once more: a writer knows a part of what SQL allows.
        chosen = [name for name in kinds if self._random.random() < 0.6] or ["one"]
        self._kinds = {name: kinds[name] for name in chosen}

    async def run(self) -> None:
        """Until cancelled; leaves its session behind as a killed client would."""
        self._began = trio.current_time()
        names = list(self._kinds)
        weights = [weight for _, weight in self._kinds.values()]
        try:
            while True:
                (name,) = self._random.choices(names, weights)
                self._written += 1
                try:
                    self._connected()
                    await self._kinds[name][0]()
                    await self._wait_turn()
                    self._trace.note(self._name, name, rows=self._written)
                except (BackendEnded, Down, TableLocked) as error:
                    self._trace.note(self._name, f"{name} failed", by=type(error).__name__)
                    self._leave()
                    await trio.sleep(RETRY_S)
                await trio.sleep_until(self._began + self._written / self._rate)
                await self._rest()
        finally:
            self._leave()

    async def _rest(self) -> None:
        """In a lull nobody writes more than now and then."""
        lull_s = self._plan.lull_s
        if lull_s and int(trio.current_time() / lull_s) % 2:
            await trio.sleep(self._random.expovariate(1 / LULL_PAUSE_S))

    def _connected(self) -> Backend:
        if self._backend is None or self._backend.ended:
            self._backend = self._cluster.connect()
        return self._backend

    def _leave(self) -> None:
        if self._backend is not None:
            self._backend.end()
            self._backend = None

    async def _one(self) -> None:
        self._insert(1)

    async def _several(self) -> None:
        self._insert(self._burst())

    async def _nothing(self) -> None:
        self._insert(0)

    async def _bulk(self) -> None:
        self._insert(self._random.randint(1, self._plan.bulk_rows))

    async def _slow(self) -> None:
        backend = self._begin()
        self._insert(self._burst())
        await self._think(3.0)
        self._insert(self._burst())
        await self._think(3.0)
        self._commit(backend)

    async def _savepoints(self) -> None:
        backend = self._begin()
        depth = 0
        for _ in range(self._random.randint(1, 6)):
            match self._random.randrange(4):
                case 0 | 1:
                    self._insert(self._burst())
                case 2:
                    backend.savepoint(f"s{depth}")
                    depth += 1
                case 3 if depth:
                    depth -= 1
                    if self._random.random() < 0.5:
                        backend.rollback_to(f"s{depth}")
                    backend.release(f"s{depth}")
            await self._think()
        self._commit(backend)

    async def _rolled_back(self) -> None:
        backend = self._begin()
        self._insert(self._burst())
        await self._think()
        backend.rollback()

    async def _replica(self) -> None:
        backend = self._connected()
        backend.replica = True
        self._insert(self._burst())
        backend.replica = False

    async def _own_ids(self) -> None:
        count = self._burst()
        # Falling, and far from the sequence: no id says when it was committed.
        ids = [self._own_id - number for number in range(count)]
        self._own_id -= count
        self._connected().insert([self._point() for _ in ids], ids)
        self._written += count

    async def _two_steps(self) -> None:
        backend = self._begin()
        self._insert(self._burst())
        await self._think()
        backend.begin_commit(synchronous=self._synchronous())
        # Who has rung keeps all others who ring from committing meanwhile.
        await trio.sleep(self._random.uniform(0.0, COMMIT_S))
        backend.end_commit()

    def _begin(self) -> Backend:
        backend = self._connected()
        backend.begin()
        return backend

    def _commit(self, backend: Backend) -> None:
        backend.commit(synchronous=self._synchronous())

    async def _wait_turn(self) -> None:
        """A commit behind another that rings happens by itself when its turn comes."""
        while self._connected().in_transaction:
            await trio.sleep(TURN_S)

    def _synchronous(self) -> bool:
        return self._random.random() >= self._plan.asynchronous

    def _insert(self, count: int) -> None:
        self._connected().insert([self._point() for _ in range(count)])
        self._written += count

    def _burst(self) -> int:
        """How many rows; more if thinking has made it late."""
        burst = 1 + min(50, int(self._random.expovariate(1.0) * (self._plan.row_burst - 1.0)))
        late = int((trio.current_time() - self._began) * self._rate) - self._written
        return burst + min(100, max(0, late - 20))

    def _point(self) -> Point:
        now_us = (EPOCH_NS + round(trio.current_time() * 1e9)) // 1_000
        # A sensor's clock is not the database's.
        now_us -= int(self._random.expovariate(1e-5)) if self._random.random() < 0.1 else 0
        fraction = f".{now_us % 1_000_000:06d}".rstrip("0").rstrip(".")
        value = round(self._random.uniform(-1000.0, 1000.0), 3)
        if abs(value) < 0.001:
            value = 0.0
        return Point(f"{_second(now_us // 1_000_000)}{fraction}+00:00", value, self._random.choice(TEXTS))

    async def _think(self, factor: float = 1.0) -> None:
        pause_s = self._random.expovariate(1.0) * self._plan.think_s * factor
        await trio.sleep(min(pause_s, 4.0))


@cache
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
