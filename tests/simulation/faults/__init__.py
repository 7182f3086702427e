"""Everything that may befall the bridge, its Postgres and its Grafana, by the names in `tests.simulation.plan.FAULTS`.

Cancelled, a fault ends at once and leaves no condition behind: quiet is quiet. What a fault has broken for good (a
connection, a process) stays broken: that is what the bridge has to get over.
"""

from __future__ import annotations

from contextlib import suppress

from tests.simulation.faults.making import Making
from tests.simulation.faults.of_bridge import DRAIN_S, BridgeFaults
from tests.simulation.faults.of_grafana import GrafanaFaults
from tests.simulation.faults.of_postgres import PostgresFaults
from tests.simulation.postgres import BackendEnded, Down

__all__ = ["DRAIN_S", "BridgeFaults", "Faults", "GrafanaFaults", "Making", "PostgresFaults"]


class Faults:
    """All of them.

    Args:
        parts: each with faults of its own.
    """

    def __init__(self, *parts: PostgresFaults | BridgeFaults | GrafanaFaults) -> None:
        self._parts = parts

    async def happen(self, name: str) -> None:
        """The fault `name`, to its end."""
        (act,) = [getattr(part, name) for part in self._parts if hasattr(part, name)]
        # A fault of a server that is away, or of a session that another fault has ended, is none.
        with suppress(Down, BackendEnded):
            await act()
