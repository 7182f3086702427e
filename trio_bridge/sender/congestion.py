"""How many bytes may be unacknowledged: what the line has shown to carry in two seconds, up to a cap.

Over a slow line everything written waits in front of the next ping and of our pongs, and Grafana cuts who
sends no pong for 27.8 s; so a window, or a single message, that is right for a fast line would end every
connection over a slow one, for ever. A connection therefore begins with little, and each answer shows what the
line carries: so many bytes in so many seconds. On a local network three answers open the whole window; over
1 kB/s it stays at its least, which such a line carries well within the deadline of a ping (measured: 1 kB/s
holds with the default of 10 s). A single line that needs longer than that is beyond help.

Pure: told how long answers took, asked for numbers.
"""

from __future__ import annotations

import math
from typing import Final

# Guesses. Well above a round trip on a line that is merely long, well below a ping's deadline (10 s).
SLOW_S: Final = 2.0
LEAST_BYTES: Final = 4_096

# Guess. A line may take a burst at once and the rest slowly: what one answer shows is believed only so far.
GROWTH: Final = 4


class CongestionWindow:
    """The bound of one connection.

    Attributes:
        bytes: nothing more is written while so much is not acknowledged.
    """

    def __init__(self, max_bytes: int, patience_s: float = math.inf) -> None:
        """Never above `max_bytes`, nor above what half of `patience_s` carries: a ping's deadline."""
        self._max_bytes = max_bytes
        self._slow_s = min(SLOW_S, patience_s / 2)
        self.bytes = min(max_bytes, LEAST_BYTES)

    def room(self, unacknowledged_bytes: int) -> int:
        """How large the next message may be: what the window leaves, at least half of it; 0: none may go now."""
        if unacknowledged_bytes >= self.bytes:
            return 0
        # Without the half, a window that is nearly full would be filled up with crumbs. At most one and a half
        # windows are ever under way.
        return max(1, self.bytes // 2, self.bytes - unacknowledged_bytes)

    def answered(self, sent_bytes: int, took_s: float) -> None:
        """A ping behind `sent_bytes` that were not acknowledged was answered after `took_s` seconds."""
        shown = sent_bytes * self._slow_s / max(took_s, 1e-6)
        if took_s <= self._slow_s:
            # Few bytes and a prompt answer say nothing against the line.
            shown = max(shown, self.bytes)
        self.bytes = min(self._max_bytes, max(LEAST_BYTES, int(min(shown, GROWTH * self.bytes))))
