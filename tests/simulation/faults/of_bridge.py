"""What may befall a replica of the bridge; each method is one fault, over when it returns."""

from __future__ import annotations

from typing import Final

import trio

from tests.simulation.faults.making import Making
from tests.simulation.process import Bridge

DRAIN_S: Final = 5.0
"""What a stop by signal may take: the setting's default."""


class BridgeFaults:
    """See the module.

    Args:
        making: what all faults share.
        bridges: the replicas.
    """

    def __init__(self, making: Making, bridges: list[Bridge]) -> None:
        self._making = making
        self._bridges = bridges

    async def kill_bridge(self) -> None:
        """SIGKILL."""
        bridge = self._making.random.choice(self._bridges)
        if bridge.alive:
            self._making.note("kill_bridge", replica=bridge.number)
            bridge.kill()

    async def freeze_bridge(self) -> None:
        """SIGSTOP, and some seconds later SIGCONT: sometimes before Postgres ends its session, sometimes after."""
        bridge = self._making.random.choice(self._bridges)
        if bridge.alive and not bridge.freezer.frozen:
            self._making.note("freeze_bridge", replica=bridge.number)
            bridge.freezer.freeze()
            try:
                await self._making.last(0.1, 8.0)
            finally:
                bridge.freezer.thaw()

    async def stop_bridge(self) -> None:
        """SIGTERM: it must end within the time that a drain may take."""
        bridge = self._making.random.choice(self._bridges)
        if bridge.alive and not bridge.freezer.frozen:
            self._making.note("stop_bridge", replica=bridge.number)
            ended = bridge.terminate()
            with trio.move_on_after(DRAIN_S + 0.1):
                await ended.wait()
                return
            if not bridge.freezer.frozen:
                self._making.overdue.append(
                    f"replica {bridge.number} was told to stop and did not in {DRAIN_S:g} s"
                )

    async def flip_mode(self) -> None:
        """The other mode, as soon as may be, a few times."""
        bridge = self._making.random.choice(self._bridges)
        for _ in range(self._making.random.randint(1, 10)):
            if bridge.route is not None:
                self._making.note("flip_mode", replica=bridge.number)
                bridge.route.flip_mode()
            await self._making.last(0.01, 0.3)
