"""All routes at one moment, as the page, ``/status.json`` and `trio-bridge status` show them.

What a moment holds is numbers, and words of this program and its configuration: never a row's value. Who reads one
needs nothing else of the service.
"""

from __future__ import annotations

import msgspec


class Duration(msgspec.Struct, frozen=True):
    """Quantiles of the last ten seconds, in seconds; None: nothing was measured."""

    p50: float | None
    p99: float | None


class RouteMoment(msgspec.Struct, frozen=True):
    """One route.

    Attributes:
        name: from the settings.
        source: the table, or the NOTIFY channel.
        stream: Grafana's channel, as far as the settings say it.
        phase, mode: see `trio_bridge.listener.stage.SourceStatus`; mode is empty while the route does not run.
        ready: see `readiness`.
        reason: why not; empty if it is.
        postgres, grafana: ``up``, ``down`` or ``unknown``.
        seen, acknowledged, rejected, returned, pending: rows, see `trio_bridge.ledger`.
        messages, keyframes, bytes, gaps, restarts: see there.
        seen_per_s, acknowledged_per_s: rows a second lately.
        messages_per_s, bytes_per_s: lately.
        recent: rows acknowledged in each second of the last minute, the oldest first.
        bell_to_push, push_to_ack, row_age: see `trio_bridge.vitals`.
        lag_s: no row committed longer ago than this is missing at Grafana; None: nobody knows.
        checkpoint_age_s: since when acknowledged rows wait to be in the checkpoint.
        postgres_age_s, grafana_age_s: since the last answer; None: never yet.
        queue_usage: of the cluster's notification queue, 0 to 1; None: not asked.
        oldest_transaction_s: how long the oldest transaction that writes has been seen open.
        unacknowledged_bytes: written to Grafana, no pong yet.
        waiting: pages or batches before listener, decoder and sender.
    """

    name: str
    source: str
    stream: str
    phase: str
    mode: str
    ready: bool
    reason: str
    postgres: str
    grafana: str
    seen: int
    acknowledged: int
    rejected: int
    returned: int
    pending: int
    messages: int
    keyframes: int
    bytes: int
    gaps: int
    restarts: int
    seen_per_s: float
    acknowledged_per_s: float
    messages_per_s: float
    bytes_per_s: float
    recent: tuple[int, ...]
    bell_to_push: Duration
    push_to_ack: Duration
    row_age: Duration
    lag_s: float | None
    checkpoint_age_s: float
    postgres_age_s: float | None
    grafana_age_s: float | None
    queue_usage: float | None
    oldest_transaction_s: float
    unacknowledged_bytes: int
    waiting: tuple[int, ...]


class Moment(msgspec.Struct, frozen=True):
    """All routes."""

    version: str
    uptime_s: float
    stopping: bool
    ready: bool
    routes: tuple[RouteMoment, ...]
