"""Is the simulation blind? Faults of reasoning, planted in the product one at a time, each of which it must find.

    DEFECTS                               all of them, by name
    Defect.planted()                      the product has it while the block runs
    hunt.broken_by(seed, defect or None)  what the schedule of a seed finds
    hunt.hunt(defect, seeds)              the first seed that finds it

A defect is the product's own source with a few words changed (`planting`), sorted by what it is wrong about:
`positions`, `modes`, `messages`, `runs`. What lives in SQL is planted in the model that stands for the SQL.
``python -m tests.simulation.defects`` hunts for them all and prints what found each.
"""

from __future__ import annotations

from typing import Final

from tests.simulation.defects import messages, modes, positions, runs
from tests.simulation.defects.planting import Defect

DEFECTS: Final[dict[str, Defect]] = {
    defect.name: defect
    for group in (positions.DEFECTS, modes.DEFECTS, messages.DEFECTS, runs.DEFECTS)
    for defect in group
}
"""By name."""

__all__ = ["DEFECTS", "Defect"]
