"""The table ``trio_bridge.checkpoint``: one row a route, in the same log as the rows that it speaks of.

An UPDATE is a transaction of its own, which draws an id only if there is a row to change. It may be refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulation.postgres.checkpoints import CheckpointChange, CheckpointRow, Hook
from tests.simulation.postgres.faults import Refused
from tests.simulation.postgres.wal import Update

if TYPE_CHECKING:
    from tests.simulation.postgres.backend import Backend
    from tests.simulation.postgres.cluster import Cluster

REFUSALS = {
    "25006": "cannot execute UPDATE in a read-only transaction",
    "42501": "permission denied for table checkpoint",
    "53100": 'could not extend file "base/5/16412": No space left on device',
}
"""What a checkpoint's UPDATE may fail of, by sqlstate. Only the full disk finds out after an id is drawn."""


class CheckpointTable:
    """See the module.

    Attributes:
        rows: as committed and visible, by route.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.rows: dict[str, CheckpointRow] = {}
        self._cluster = cluster

    def store(self, backend: Backend, name: str, row: CheckpointRow) -> None:
        """Commit a row."""
        with backend.statement() as transaction:
            transaction.log(Update(transaction.xid(), name, row))
        self.rows[name] = row

    def update(
        self,
        backend: Backend,
        name: str,
        change: Callable[[CheckpointRow], CheckpointRow | None],
        hooks: list[Hook],
    ) -> CheckpointRow | None:
        """An UPDATE by the row's name.

        Args:
            backend: whose.
            name: of the route.
            change: the row that it makes of one; None: its condition is not met.
            hooks: told of it.

        Returns:
            The new row; None: there was none to change.

        Raises:
            Refused: as `Cluster.checkpoint_refusal` has it.
        """
        refusal = self._cluster.checkpoint_refusal
        if refusal is not None and refusal != "53100":
            raise Refused(refusal, REFUSALS[refusal])
        old = self.rows.get(name)
        new = None if old is None else change(old)
        if old is None or new is None:
            return None
        if refusal is not None:
            with backend.statement() as transaction:
                transaction.xid()
                raise Refused(refusal, REFUSALS[refusal])
        self.store(backend, name, new)
        for hook in hooks:
            hook(CheckpointChange(name, old, new, backend.pid))
        return new
