"""How many bytes may be unacknowledged: as many as the line carries in a second or two, up to a cap.

Over a slow line everything written waits in front of the next ping and of our pongs, and Grafana cuts who
sends no pong for 27.8 s; so a window that is right for a fast line would end every connection over a slow
one, for ever. It starts with one full message, doubles while pings are answered promptly, and halves when
they are not. At its least size it still lets one message through at a time, so a line must carry about 64 KiB
within the deadline of a ping (measured with 10 s: 10 kB/s holds, 8 kB/s is cut).

Pure: told how long answers took, asked for a number.
"""

from __future__ import annotations

from typing import Final

from trio_bridge.sender.pace import MAX_MESSAGE_BYTES

# Guesses. Well above a round trip on a line that is merely long, well below a ping's deadline (10 s).
SLOW_S: Final = 2.0
PROMPT_S: Final = 1.0
LEAST_BYTES: Final = 4_096


class CongestionWindow:
    """The bound of one connection.

    Attributes:
        bytes: nothing more is written while so much is not acknowledged.
    """

    def __init__(self, max_bytes: int) -> None:
        """Never above `max_bytes`."""
        self._max_bytes = max_bytes
        self.bytes = min(max_bytes, MAX_MESSAGE_BYTES)

    def answered_after(self, took_s: float) -> None:
        """A ping was answered `took_s` seconds after it was asked."""
        if took_s > SLOW_S:
            self.bytes = min(self._max_bytes, max(LEAST_BYTES, self.bytes // 2))
        elif took_s < PROMPT_S:
            self.bytes = min(self._max_bytes, self.bytes * 2)
