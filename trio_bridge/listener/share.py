"""How replicas share their routes: what one process leads, whether it is idle, and whose turn it is to give away.

A replica that leads nothing, and has not failed at Grafana, says so with a shared advisory lock for each route that it
waits for. Busy replicas let the idle one lead first, and a replica that leads several routes asks now and then whether
somebody idle waits for them, and gives one away: it drains, as for a stop, so nothing comes twice. It ends when nobody
is idle or nobody leads two, so routes never go to and fro. Channel routes stay where they are: each change of hands
would be a gap. A process with one route has nothing to share, and asks and says nothing.

Used by the threads of all sources of one process and by Trio; never blocks.
"""

from __future__ import annotations

import math
import threading
from typing import Final

GIVE_INTERVAL_S: Final = 10.0
"""Between two routes that one process gives away, and between two questions. A guess: a minute spreads six routes."""


class Share:
    """The part of one process.

    Args:
        routes: how many the process has.
    """

    def __init__(self, routes: int) -> None:
        self._several = routes > 1
        self._leads: set[str] = set()
        self._failing: set[str] = set()
        self._gave_at = -math.inf
        self._lock = threading.Lock()

    @property
    def idle(self) -> bool:
        """Whether this process could lead and does not."""
        return self._several and not self._leads and not self._failing

    @property
    def busy(self) -> bool:
        """Whether an idle one goes first."""
        return self._several and bool(self._leads)

    def leads(self, route: str) -> None:
        """This process leads `route` now."""
        with self._lock:
            self._leads.add(route)

    def ended(self, route: str) -> None:
        """A run of `route` is over, and its lock free."""
        with self._lock:
            self._leads.discard(route)

    def failing(self, route: str) -> None:
        """Grafana did not take rows from `route`: who leads nothing because of that is not idle."""
        with self._lock:
            self._failing.add(route)

    def works(self, route: str) -> None:
        """Grafana is within reach for `route`."""
        with self._lock:
            self._failing.discard(route)

    def asks_at(self, now: float) -> float:
        """When to ask whether somebody is idle, if it is `now` (monotonic seconds)."""
        return now + GIVE_INTERVAL_S

    def may_give(self, now: float) -> bool:
        """Whether this process leads more than one route and has given none away lately (monotonic seconds)."""
        return self._several and len(self._leads) > 1 and now - self._gave_at >= GIVE_INTERVAL_S

    def give(self, now: float) -> bool:
        """As `may_give`; the one who is told True gives its route away."""
        with self._lock:
            if not self.may_give(now):
                return False
            self._gave_at = now
            return True
