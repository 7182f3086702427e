"""The bridge's own dashboard asks for metrics that the bridge has."""

from __future__ import annotations

import json
import re

from trio_bridge.grafana.health import health_dashboard
from trio_bridge.web.metrics import make_registry


def test_every_metric_exists() -> None:
    """Each name in a query is one that the service exposes, with the labels it is grouped by."""
    queries = re.findall(r'"expr": "(.*?[^\\])"', json.dumps(health_dashboard()))
    asked = {name for query in queries for name in re.findall(r"trio_bridge_\w+", query)}
    assert len(asked) > 10
    known: dict[str, set[str]] = {}
    for family in make_registry([]).collect():
        known[family.name] = {family.type}
    for name in asked:
        base = re.sub(r"_(total|bucket)$", "", name)
        assert base in known, name
        kind = {"_total": "counter", "_bucket": "histogram"}.get(name[len(base) :], "gauge")
        assert known[base] == {kind}, name


def test_panels_fill_rows_and_name_one_source() -> None:
    """Every panel and target asks the Prometheus of the fixed uid."""
    model = health_dashboard()
    for panel in model["panels"]:
        assert panel["datasource"]["uid"] == "trio-bridge-prometheus"
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
