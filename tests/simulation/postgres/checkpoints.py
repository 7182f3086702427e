"""The table ``trio_bridge.checkpoint``: one row a route, in the same log as the rows that it speaks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class CheckpointRow(NamedTuple):
    """As committed. Snapshots are texts."""

    system_identifier: int
    snapshot: str
    epoch: int = 0
    target: str | None = None
    after_txid: int | None = None
    after_key: tuple[str, ...] | None = None


class CheckpointChange(NamedTuple):
    """What a hook is told, at the moment when the new row is visible.

    Attributes:
        name: of the route.
        old: the row before.
        new: the row now.
        pid: of the session that did it.
    """

    name: str
    old: CheckpointRow
    new: CheckpointRow
    pid: int


Hook = Callable[[CheckpointChange], None]

REFUSALS = {
    "25006": "cannot execute UPDATE in a read-only transaction",
    "42501": "permission denied for table checkpoint",
    "53100": 'could not extend file "base/5/16412": No space left on device',
}
"""What a checkpoint's UPDATE may fail of, by sqlstate. Only the full disk finds out after an id is drawn."""
