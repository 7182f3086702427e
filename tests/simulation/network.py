"""The way between one replica and Postgres: how long messages take, and which are lost.

Pure but for the clock that it is given.
"""

from __future__ import annotations

import math
import random


class Way:
    """See the module; called, it is a `latency` as `tests.simulation.postgres.Caller` wants it.

    Args:
        least_s: one way; up to twice as much.
        rng: decides.

    Attributes:
        added_s: on top, while something slows the network down.
        lose: messages that are lost from now on, each with its direction of its connection.
    """

    def __init__(self, least_s: float, rng: random.Random) -> None:
        self.added_s = 0.0
        self.lose = 0
        self._least_s = least_s
        self._random = rng

    def __call__(self) -> float:
        """Seconds for the next message."""
        if self.lose:
            self.lose -= 1
            return math.inf
        return self._least_s * (1.0 + self._random.random()) + self.added_s * self._random.random()
