"""One moment of the demo, as the terminal and the page show it: the figures on the way of a row.

`DemoStatistics` is frozen and plain, so it goes to the browser as JSON just as it is; names carry their
units. `Rate` turns a growing count into rows per second. Nothing here reads a clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

Phase = Literal["starting", "running", "draining", "done"]

# Long enough for a steady figure, short enough to see a fault at once. Guess.
RATE_WINDOW_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoStatistics:
    """Where every row of the demo is; rows, where the name does not say otherwise.

    Attributes:
        phase: what the demo is doing.
        elapsed_s: seconds since the writers started.
        target_rate: rows per second that the writers are asked for.
        writers: how many there are; `writers_connected` of them have a connection.
        committed: the server has confirmed them.
        commit_rate: of these, per second.
        uncertain: the connection broke before the server's answer.
        postgres_up: whether the server process runs.
        mode: how the bridge learns of rows (``notify``, ``arming``, ``poll``); ``down`` or ``stopped``: not at all.
        acknowledged: Grafana has processed them, says the bridge; what it sent again counts again.
        acknowledge_rate: of these, per second.
        pending: read by the bridge, not yet acknowledged.
        rejected: seen by the bridge and not representable.
        restarts: how often the bridge's route failed and started again.
        messages: sent by the bridge; `sent_bytes` in all.
        live_up: whether the Live server takes connections.
        delivered: published to viewers, each row counted once.
        duplicates: published again.
        viewers: browsers that are subscribed now.
        latency_p50_ms: commit confirmed → published, median of the last rows; None: nothing measured.
        latency_p99_ms: the same, 99th percentile.
        fault: what chaos did last, or "".
    """

    phase: Phase = "starting"
    elapsed_s: float = 0.0
    target_rate: int = 0
    writers: int = 0
    writers_connected: int = 0
    committed: int = 0
    commit_rate: float = 0.0
    uncertain: int = 0
    postgres_up: bool = False
    mode: str = "down"
    acknowledged: int = 0
    acknowledge_rate: float = 0.0
    pending: int = 0
    rejected: int = 0
    restarts: int = 0
    messages: int = 0
    sent_bytes: int = 0
    live_up: bool = False
    delivered: int = 0
    duplicates: int = 0
    viewers: int = 0
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    fault: str = ""


class Rate:
    """A growing count's increase per second, over the last `RATE_WINDOW_S`."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def __call__(self, now: float, count: int) -> float:
        """Takes the count at monotonic second `now` and tells the rate; 0 until there are two moments."""
        self._samples.append((now, count))
        while len(self._samples) > 2 and self._samples[1][0] <= now - RATE_WINDOW_S:
            self._samples.popleft()
        since, before = self._samples[0]
        return (count - before) / (now - since) if now > since else 0.0
