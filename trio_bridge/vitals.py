"""How a route's stages fare: what fills up, when Grafana last answered, how long things took.

Pure; written by the stages in Trio's thread, once a page or a message and never once a row, read by whoever serves
the metrics. Levels belong to one run and are forgotten with it (`run_ended`); peaks, distributions and the last answer
stay. Nobody decides anything by what stands here.
"""

from __future__ import annotations

from trio_bridge.distribution import AGE_BOUNDS_S, LATENCY_BOUNDS_S, Distribution


class Level:
    """Something that rises and falls.

    Attributes:
        now: at this moment.
        peak: highest since the program began.
    """

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0

    def set(self, level: int) -> None:
        """It is `level` now."""
        self.now = level
        self.peak = max(self.peak, level)


class Vitals:
    """Of one route, over all its runs.

    Attributes:
        outlet: pages that wait between the source's thread and the listener.
        pages: that wait between listener and decoder.
        batches: that wait between decoder and sender.
        outbox_bytes: lines that wait for their message.
        unacknowledged_bytes: written to Grafana, not covered by a pong.
        connected: whether a socket to Grafana is open.
        grafana_answered_at: when it accepted the socket or a pong came last, monotonic seconds; None: never yet.
        bell_to_push_s: from hearing the bell to having written the message with its rows.
        push_to_ack_s: from having written a message to the pong that acknowledges it.
        row_age_s: age of the last row of a message, by its own time column, when it has been written.
    """

    def __init__(self) -> None:
        self.outlet = Level()
        self.pages = Level()
        self.batches = Level()
        self.outbox_bytes = Level()
        self.unacknowledged_bytes = Level()
        self.connected = False
        self.grafana_answered_at: float | None = None
        self.bell_to_push_s = Distribution(LATENCY_BOUNDS_S)
        self.push_to_ack_s = Distribution(LATENCY_BOUNDS_S)
        self.row_age_s = Distribution(AGE_BOUNDS_S)

    def run_ended(self) -> None:
        """Nothing of a run outlives it."""
        for level in (self.outlet, self.pages, self.batches, self.outbox_bytes, self.unacknowledged_bytes):
            level.set(0)
        self.connected = False
