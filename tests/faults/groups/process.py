"""Faults of the bridge's own process."""

from __future__ import annotations

from tests.faults.fault import Fault, Group

GROUP = Group(
    "The bridge's process",
    {
        1: Fault("kill -9 at a random moment"),
    },
)
