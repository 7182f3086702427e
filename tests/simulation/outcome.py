"""What came of a schedule: a frozen record that travels between processes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a schedule.

    Attributes:
        seed: of it.
        rows: in the table at the end.
        lost: of them, how many nobody delivered.
        phantoms: deliveries of what was never committed.
        duplicates: deliveries beyond a row's first.
        recovery_s: from the last fault or row to the last row delivered.
        runs: of the route, by all replicas.
        mode_changes: of all replicas.
        faults: how many of each kind were made.
        virtual_s: how long it took in its own time.
        violations: broken promises, a sentence each; empty if all is well.
    """

    seed: int
    rows: int
    lost: int
    phantoms: int
    duplicates: int
    recovery_s: float
    runs: int
    mode_changes: int
    faults: Counter[str]
    virtual_s: float
    violations: list[str]
