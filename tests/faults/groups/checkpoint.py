"""Faults of the checkpoint's row and of whoever writes it."""

from __future__ import annotations

from tests.faults.fault import Fault, Group

GROUP = Group(
    "The checkpoint",
    {
        94: Fault("its table is missing, has other columns, or is of a newer version"),
        95: Fault("its row is missing"),
        96: Fault("its row is corrupt, or another cluster's"),
        97: Fault("its table is locked"),
        98: Fault("it may not be written"),
        99: Fault("the disk is full"),
        100: Fault("an older one is restored from a backup"),
        101: Fault("two bridges write it"),
    },
)
