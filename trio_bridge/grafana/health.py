"""The bridge's own dashboard: is it well, and where do rows wait → JSON that asks Prometheus.

One row of figures to be read from across the room, then the way of a row from left to right: in, out, how late; then
what may become a problem. Metric names are those of `trio_bridge.web.metrics`; a test compares. Pure.
"""

from __future__ import annotations

from typing import Any, Final

from trio_bridge.grafana.dashboard import dashboard, placed

Json = dict[str, Any]

SOURCE_UID: Final = "trio-bridge-prometheus"
"""Fixed, so that the dashboard finds its data source."""

SOURCE: Final[Json] = {"type": "prometheus", "uid": SOURCE_UID}

UID: Final = "trio-bridge-health"

_RED_FROM_ONE: Final[list[Json]] = [{"color": "green", "value": None}, {"color": "red", "value": 1}]
_GREEN_AT_ONE: Final[list[Json]] = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
# Seconds. Guess: a dashboard that lags by two is seen to lag, one that lags by thirty is no live dashboard.
_LATE: Final[list[Json]] = [
    {"color": "green", "value": None},
    {"color": "orange", "value": 2},
    {"color": "red", "value": 30},
]


def health_dashboard() -> Json:
    """The dashboard."""
    rows = [
        [
            _figure(
                "Ready routes of all",
                "sum(trio_bridge_ready) / count(trio_bridge_ready)",
                "percentunit",
                _GREEN_AT_ONE,
            ),
            _figure(
                "Worst lag",
                "max(trio_bridge_lag_seconds)",
                "s",
                _LATE,
            ),
            _figure(
                "Rejected rows, last hour",
                "sum(increase(trio_bridge_rows_rejected_total[1h]))",
                "short",
                _RED_FROM_ONE,
            ),
            _figure(
                "Failed runs, last hour",
                "sum(increase(trio_bridge_restarts_total[1h]))",
                "short",
                _RED_FROM_ONE,
            ),
        ],
        [
            _curves("Rows read", "rps", ("{{route}}", _per_second("rows_seen"))),
            _curves("Rows acknowledged", "rps", ("{{route}}", _per_second("rows_acknowledged"))),
            _curves("Rows under way", "short", ("{{route}}", "sum by (route) (trio_bridge_rows_pending)")),
        ],
        [
            _curves(
                "Age of a row when it is pushed",
                "s",
                ("{{route}} median", _quantile(0.5, "row_age_at_push_seconds")),
                ("{{route}} 99 %", _quantile(0.99, "row_age_at_push_seconds")),
            ),
            _curves(
                "Bell to push",
                "s",
                ("{{route}} median", _quantile(0.5, "bell_to_push_seconds")),
                ("{{route}} 99 %", _quantile(0.99, "bell_to_push_seconds")),
            ),
            _curves(
                "Push to acknowledgement",
                "s",
                ("{{route}} median", _quantile(0.5, "push_to_acknowledgement_seconds")),
                ("{{route}} 99 %", _quantile(0.99, "push_to_acknowledgement_seconds")),
            ),
        ],
        [
            _curves("Lag", "s", ("{{route}}", "max by (route) (trio_bridge_lag_seconds)")),
            _curves(
                "Messages",
                "ops",
                ("{{route}}", _per_second("messages")),
                ("{{route}} keyframes", _per_second("keyframes")),
            ),
            _curves("Bytes sent", "Bps", ("{{route}}", _per_second("sent_bytes"))),
        ],
        [
            _curves(
                "Rejected, by reason",
                "rps",
                ("{{route}} {{reason}}", _per_second("rows_rejected", "route, reason")),
            ),
            _curves(
                "Failed runs, by cause",
                "ops",
                ("{{route}} {{cause}}", _per_second("restarts", "route, cause")),
            ),
            _curves(
                "Polling or notified (1: this mode)",
                "short",
                ("{{route}} {{mode}}", "max by (route, mode) (trio_bridge_mode)"),
            ),
        ],
        [
            _curves(
                "Notification queue of the cluster, full at 1",
                "percentunit",
                ("{{route}}", "max by (route) (trio_bridge_notification_queue_ratio)"),
            ),
            _curves(
                "Oldest transaction open",
                "s",
                ("{{route}}", "max by (route) (trio_bridge_oldest_transaction_seconds)"),
            ),
            _curves(
                "Not in the checkpoint since",
                "s",
                ("{{route}}", "max by (route) (trio_bridge_checkpoint_age_seconds)"),
            ),
        ],
    ]
    description = "How the bridge is, from its own /metrics by way of Prometheus."
    return dashboard(UID, "trio_bridge", placed(rows), refresh="10s", description=description)


def _per_second(counter: str, by: str = "route") -> str:
    return f"sum by ({by}) (rate(trio_bridge_{counter}_total[$__rate_interval]))"


def _quantile(share: float, histogram: str) -> str:
    buckets = f"sum by (route, le) (rate(trio_bridge_{histogram}_bucket[$__rate_interval]))"
    return f"histogram_quantile({share}, {buckets})"


def _figure(title: str, expression: str, unit: str, steps: list[Json]) -> Json:
    return {
        "type": "stat",
        "title": title,
        "datasource": SOURCE,
        "targets": [_target("A", expression, instant=True)],
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "graphMode": "none",
            "colorMode": "background",
        },
    }


def _curves(title: str, unit: str, *named: tuple[str, str]) -> Json:
    return {
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "targets": [
            {**_target(letter, expression), "legendFormat": legend}
            for letter, (legend, expression) in zip("AB", named, strict=False)
        ],
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "custom": {"drawStyle": "line", "showPoints": "never"}},
            "overrides": [],
        },
        "options": {
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _target(letter: str, expression: str, *, instant: bool = False) -> Json:
    return {
        "refId": letter,
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": expression,
        "instant": instant,
        "range": not instant,
    }
