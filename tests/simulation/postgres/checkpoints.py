"""A row of the table ``trio_bridge.checkpoint``, and what is told of its changes."""

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
