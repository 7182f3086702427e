"""How long to wait before the next attempt.

Full jitter: anything between nothing and a bound that doubles with every failure up to a cap, so that many
bridges that lost the same Grafana do not come back as one. A wait that the other side asked for is kept, with
jitter on top. Refused credentials wait long: no attempt repairs them, an operator does.

Pure: takes a random number generator, returns seconds, sleeps never.
"""

from __future__ import annotations

import random
from typing import Final

# Guess. Somebody must put the role or the token right, and Grafana takes about 5 s to notice a changed role:
# asking more often than every 30 s only fills its log, and after the repair nobody should wait longer than a
# minute.
REFUSED_MIN_S: Final = 30.0
REFUSED_MAX_S: Final = 60.0

# Guess. Shorter runs are failures that happened to begin well: an accept, then a cut, again and again.
STEADY_S: Final = 10.0


class Backoff:
    """The waits of one thing that is tried again and again."""

    def __init__(self, first_s: float, cap_s: float, rng: random.Random) -> None:
        """Bounds grow from `first_s` to `cap_s` seconds."""
        self._first_s = first_s
        self._cap_s = cap_s
        self._rng = rng
        self._bound_s = min(first_s, cap_s)

    def next_wait_s(self, *, refused: bool = False, retry_after_s: float | None = None) -> float:
        """Seconds to wait after one more failure.

        Args:
            refused: the credentials were refused (`trio_bridge.errors.CredentialsRefused`).
            retry_after_s: the least wait that the other side asked for, seconds.
        """
        if refused:
            wait_s = self._rng.uniform(REFUSED_MIN_S, REFUSED_MAX_S)
        else:
            wait_s = self._rng.uniform(0.0, self._bound_s)
            self._bound_s = min(self._cap_s, self._bound_s * 2)
        if retry_after_s is not None:
            wait_s = max(wait_s, retry_after_s + self._rng.uniform(0.0, self._first_s))
        return wait_s

    def ran_for(self, run_s: float) -> None:
        """It worked for `run_s` seconds: long enough means that the next failure is a first one."""
        if run_s >= STEADY_S:
            self.reset()

    def reset(self) -> None:
        """The next failure is a first one."""
        self._bound_s = min(self._first_s, self._cap_s)
