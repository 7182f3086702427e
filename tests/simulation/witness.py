"""Notes in the trace what the two models tell: sockets, messages, pongs and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial

import trio

from tests.simulation.live import Delivery, LiveModel
from tests.simulation.postgres import CheckpointChange, Cluster
from tests.simulation.trace import Trace


class Witness:
    """See the module; a `tests.simulation.live.Observer`.

    Args:
        trace: to note it in.
        cluster: tells.
        live: tells too.
        owner_of: which run a session's pid belongs to.
    """

    def __init__(
        self, trace: Trace, cluster: Cluster, live: LiveModel, owner_of: Callable[[int], Hashable]
    ) -> None:
        self._trace = trace
        self._owner_of = owner_of
        self._news = trio.Event()
        live.observers.append(self)
        cluster.on_take_over.append(partial(self._note_checkpoint, "takes over at"))
        cluster.on_write.append(partial(self._note_checkpoint, "writes"))

    async def wait_processed(self) -> None:
        """Until Grafana has processed one more message."""
        self._news = trio.Event()
        await self._news.wait()

    def connected(self, connection: int, owner: Hashable) -> None:
        """A push socket is open."""
        self._trace.note("grafana", "connected", connection=connection, run=owner)

    def processed(self, delivery: Delivery) -> None:
        """A message was processed."""
        self._news.set()
        self._trace.note(
            "grafana",
            "keyframe" if delivery.keyframe else "message",
            connection=delivery.connection,
            run=delivery.owner,
            rows=len(delivery.rows),
            keys=",".join(row.key for row in delivery.rows[:3]),
        )

    def ponged(self, connection: int, sequence: int) -> None:
        """A ping is being answered."""
        self._trace.note("grafana", "pong", connection=connection, messages=sequence)

    def _note_checkpoint(self, what: str, change: CheckpointChange) -> None:
        new = change.new
        self._trace.note(
            "postgres",
            f"{self._owner_of(change.pid)} {what} {new.snapshot}",
            target=new.target,
            after=(new.after_txid, new.after_key),
            epoch=new.epoch,
        )
