"""The figures of all routes in Prometheus' words, read from them at the moment of a scrape.

Nothing is kept here: counters are the ledger's, levels and times the status' and the vitals'. Every series exists from
the first scrape on, at zero, so that a rate over its first increase is right; what is not known (the age of an answer
while there is no session) is NaN, which no alarm's comparison matches. Labels come from closed sets and from the
configuration (`route`); a row's value is never one.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from trio_bridge import __version__
from trio_bridge.distribution import DistributionStatistics
from trio_bridge.ledger import CAUSES, LedgerStatistics
from trio_bridge.listener.modes import Mode
from trio_bridge.route import CHANNELS, Route
from trio_bridge.web.lag import lag_s
from trio_bridge.web.readiness import why_not

REJECTED: Final = (
    "no_fields",
    "not_json",
    "out_of_range",
    "series_missing",
    "stale",
    "time_infinite",
    "time_invalid",
    "time_missing",
    "time_out_of_range",
    "too_deep",
    "too_large",
    "too_many_series",
    "wrong_type",
)
"""Why the decoder rejects a row (`trio_bridge.decoder.encoder`)."""

ALTERED: Final = ("control_character", "infinity", "missing", "not_unicode", "rounded", "tag_character")
"""Why a value is sent as null, or otherwise than it was written (same place)."""

PHASES: Final = ("connecting", "standby", "running", "draining", "stopped")


_Label = TypeVar("_Label", bound=str)
_Read = Callable[[Route], float | Mapping[str, float]]
"""A route's figure, or one for each value of a second label."""


def make_registry(routes: Sequence[Route]) -> CollectorRegistry:
    """A registry of this service's own: its figures, and the process' memory, time and open files."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RouteCollector(routes))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


class RouteCollector(Collector):
    """Reads `routes` at each scrape.

    Args:
        routes: of the service.
        monotonic: the clock of their statuses, seconds.
    """

    def __init__(self, routes: Sequence[Route], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._routes = routes
        self._monotonic = monotonic

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are those of the last scrape, so that registering does not scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        now = self._monotonic()
        build = InfoMetricFamily("trio_bridge_build", "Version of the program and of its Python.")
        build.add_metric((), {"version": __version__, "python": platform.python_version()})
        yield build
        books = {route: route.ledger.statistics() for route in self._routes}
        yield from self._rows(books)
        yield from self._messages(books)
        yield from self._runs(books, now)
        yield from self._postgres(now)
        yield from self._grafana(now)
        yield from self._durations()

    def _rows(self, books: Mapping[Route, LedgerStatistics]) -> Iterator[Metric]:
        yield self._counter(
            "rows_seen",
            "Rows read from the source. seen = acknowledged + rejected + returned + pending, always.",
            lambda route: books[route].seen,
        )
        yield self._counter(
            "rows_acknowledged",
            "Rows that Grafana has processed, as a later pong of the same connection proves.",
            lambda route: books[route].acknowledged,
        )
        yield self._counter(
            "rows_rejected",
            "Rows that cannot be sent, by reason; each is logged by its key.",
            lambda route: _filled(REJECTED, books[route].rejected),
            label="reason",
        )
        yield self._counter(
            "rows_returned",
            "Rows read by a run that failed before they were acknowledged; the next run reads and counts them again.",
            lambda route: books[route].returned,
        )
        yield self._gauge(
            "rows_pending",
            "Rows that were read and are neither acknowledged nor rejected yet.",
            lambda route: books[route].pending,
        )
        yield self._counter(
            "values_altered",
            "Values of rows that were sent as null, or otherwise than they were written, by reason.",
            lambda route: _filled(ALTERED, books[route].nulled),
            label="reason",
        )
        yield self._counter(
            "gaps",
            "Times in which a channel route may have lost notifications, because it did not listen or had no room.",
            lambda route: books[route].gaps,
        )

    def _messages(self, books: Mapping[Route, LedgerStatistics]) -> Iterator[Metric]:
        yield self._counter(
            "messages",
            "Messages written to Grafana, keyframes included.",
            lambda route: books[route].messages,
        )
        yield self._counter(
            "keyframes",
            "Messages that repeat the last rows as a whole, for panels that were opened meanwhile.",
            lambda route: books[route].keyframes,
        )
        yield self._counter(
            "sent_bytes", "Bytes of all messages written to Grafana.", lambda route: books[route].bytes
        )

    def _runs(self, books: Mapping[Route, LedgerStatistics], now: float) -> Iterator[Metric]:
        yield self._counter(
            "restarts",
            "Runs of a route that failed, by whose fault it was; each is followed by a new run.",
            lambda route: _filled(CAUSES, books[route].failures),
            label="cause",
        )
        yield self._gauge(
            "ready",
            "1 if rows flow or could (running or standby, and both sides have answered lately), as /readyz says.",
            lambda route: not why_not(route, now),
        )
        yield self._gauge(
            "phase",
            "1 for the phase in which the route is.",
            lambda route: {phase: route.status.phase == phase for phase in PHASES},
            label="phase",
        )
        yield self._gauge(
            "mode",
            "1 for the way in which the route learns of rows; all 0 while it does not run.",
            lambda route: {
                mode.value: route.status.mode is mode and route.status.phase in ("running", "draining")
                for mode in Mode
            },
            label="mode",
        )
        yield self._counter(
            "mode_changes",
            "Changes between polling and notifications.",
            lambda route: route.status.mode_changes,
        )
        yield self._gauge(
            "lag_seconds",
            "No row committed longer ago than this is missing at Grafana, of those committed since the program began; "
            "grows while either side is away. NaN: another replica leads, or a channel route.",
            lambda route: lag_s(route, now),
        )
        yield self._gauge(
            "checkpoint_age_seconds",
            "Since when acknowledged rows wait to be in the checkpoint: what a crash would repeat. 0: none wait.",
            lambda route: 0.0 if route.status.unsaved_since is None else now - route.status.unsaved_since,
        )
        yield self._gauge(
            "channel_items",
            "Pages or batches that wait between two stages.",
            lambda route: {name: filling.now for name, filling in route.fillings().items()},
            label="channel",
        )
        yield self._gauge(
            "channel_peak_items",
            "Most pages or batches that ever waited between two stages.",
            lambda route: {name: filling.peak for name, filling in route.fillings().items()},
            label="channel",
        )
        yield self._gauge(
            "channel_capacity_items",
            "Pages or batches that may wait between two stages; then the stage before waits.",
            lambda _: CHANNELS,
            label="channel",
        )

    def _postgres(self, now: float) -> Iterator[Metric]:
        yield self._counter(
            "statements",
            "Statements sent to Postgres, heartbeats included.",
            lambda route: route.status.statements,
        )
        yield self._gauge(
            "postgres_answer_age_seconds",
            "Time since Postgres last answered a statement of this route. NaN: never yet.",
            lambda route: _age(route.status.answered_at, now),
        )
        yield self._gauge(
            "notification_queue_ratio",
            "How full the cluster's notification queue is, 0 to 1; at 1 every commit that notifies fails. NaN: not "
            "asked yet.",
            lambda route: _known(route.status.queue_usage),
        )
        yield self._gauge(
            "oldest_transaction_seconds",
            "How long the oldest transaction that writes has been seen open in the cluster, within 10 s; its rows come "
            "when it commits. 0: none, or not asked.",
            lambda route: 0.0 if route.status.held_since is None else now - route.status.held_since,
        )
        yield self._counter(
            "relistens",
            "Times that the session had lost its LISTEN, and it was said again.",
            lambda route: route.status.relistened,
        )
        yield self._gauge(
            "postgres_timeline",
            "Timeline of the cluster that the route last read from; it grows when a standby is promoted. Two at a time "
            "are two primaries. NaN: not asked yet, or a channel route.",
            lambda route: _known(route.status.timeline),
        )

    def _grafana(self, now: float) -> Iterator[Metric]:
        yield self._gauge(
            "grafana_answer_age_seconds",
            "Time since Grafana last answered a ping, or accepted the socket. NaN: never yet.",
            lambda route: _age(route.vitals.grafana_answered_at, now),
        )
        yield self._gauge(
            "unacknowledged_bytes",
            "Bytes written to Grafana that no pong has covered yet.",
            lambda route: route.vitals.unacknowledged_bytes.now,
        )
        yield self._gauge(
            "unacknowledged_peak_bytes",
            "Most bytes that were ever written and not covered by a pong.",
            lambda route: route.vitals.unacknowledged_bytes.peak,
        )
        yield self._gauge(
            "outbox_bytes",
            "Bytes of lines that wait for their message.",
            lambda route: route.vitals.outbox_bytes.now,
        )

    def _durations(self) -> Iterator[Metric]:
        yield self._histogram(
            "bell_to_push_seconds",
            "From hearing a notification to having written the message with its rows; nothing while polling.",
            lambda route: route.vitals.bell_to_push_s.statistics(),
        )
        yield self._histogram(
            "push_to_acknowledgement_seconds",
            "From having written a message to the pong that proves that Grafana has processed it.",
            lambda route: route.vitals.push_to_ack_s.statistics(),
        )
        yield self._histogram(
            "row_age_at_push_seconds",
            "Age of the last row of each message when it has been written, by the row's own time column and our clock; "
            "less than 0 counts as 0.",
            lambda route: route.vitals.row_age_s.statistics(),
        )

    def _counter(
        self,
        name: str,
        meaning: str,
        read: _Read,
        *,
        label: str = "",
    ) -> Metric:
        return self._filled(CounterMetricFamily(f"trio_bridge_{name}", meaning, labels=_labels(label)), read)

    def _gauge(
        self,
        name: str,
        meaning: str,
        read: _Read,
        *,
        label: str = "",
    ) -> Metric:
        return self._filled(GaugeMetricFamily(f"trio_bridge_{name}", meaning, labels=_labels(label)), read)

    def _filled(
        self,
        family: CounterMetricFamily | GaugeMetricFamily,
        read: _Read,
    ) -> Metric:
        for route in self._routes:
            found = read(route)
            if isinstance(found, Mapping):
                for value, figure in found.items():
                    family.add_metric((route.name, value), float(figure))
            else:
                family.add_metric((route.name,), float(found))
        return family

    def _histogram(self, name: str, meaning: str, read: Callable[[Route], DistributionStatistics]) -> Metric:
        family = HistogramMetricFamily(f"trio_bridge_{name}", meaning, labels=("route",))
        for route in self._routes:
            found = read(route)
            below = 0
            buckets = []
            for bound, count in zip((*found.bounds, math.inf), found.counts, strict=True):
                below += count
                buckets.append(("+Inf" if bound == math.inf else str(bound), float(below)))
            family.add_metric((route.name,), buckets, found.sum)
        return family


def _labels(more: str) -> tuple[str, ...]:
    return ("route", more) if more else ("route",)


def _filled(known: Iterable[_Label], found: Mapping[_Label, int]) -> dict[str, float]:
    return {label: found.get(label, 0) for label in (*known, *(found.keys() - set(known)))}


def _age(since: float | None, now: float) -> float:
    return math.nan if since is None else max(0.0, now - since)


def _known(figure: float | None) -> float:
    return math.nan if figure is None else figure
