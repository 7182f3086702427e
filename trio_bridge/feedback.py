"""The one way back: what the sender tells the listener.

Written by the sender in Trio, read by the listener in its thread. Three plain attributes, each assigned at once (a
reader sees the old or the new value, never half of one), and a wake that ends the listener's wait.

    sender ── ready_at, sent_mark, acked_mark ──▶ listener
"""

from __future__ import annotations

import math
from collections.abc import Callable


class Feedback:
    """What the sender can take, what it has sent and what Grafana has acknowledged.

    Attributes:
        ready_at: monotonic seconds from which a message may go; ``math.inf``: cannot take any now.
        sent_mark: every line of this page and of all before it has been written to the socket.
        acked_mark: Grafana has processed this page and all before it; never above `sent_mark`.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.ready_at = math.inf
        self.sent_mark = 0
        self.acked_mark = 0

    def can_take_from(self, ready_at: float) -> None:
        """The sender may write a message at `ready_at` (monotonic seconds), or not at all (``math.inf``)."""
        if ready_at != self.ready_at:
            self.ready_at = ready_at
            self._wake()

    def sent(self, mark: int) -> None:
        """Every line up to `mark` is on the socket."""
        self.sent_mark = mark
        self._wake()

    def acknowledged(self, mark: int) -> None:
        """Grafana has processed everything up to `mark`."""
        self.acked_mark = mark
        self._wake()
