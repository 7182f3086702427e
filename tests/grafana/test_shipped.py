"""The folder ``grafana/``: generated files are as generated, the others say what Grafana reads."""

from __future__ import annotations

import configparser
import json
from pathlib import Path

import pytest

from tests.pg import Database
from trio_bridge.grafana import shipped
from trio_bridge.postgres.install import install
from trio_bridge.postgres.shape import table_shape

FOLDER = Path(__file__).parents[2] / "grafana"


@pytest.mark.parametrize("name", shipped.texts())
def test_files_are_as_generated(name: str) -> None:
    """``python -m trio_bridge.grafana.shipped grafana`` would change nothing."""
    assert (FOLDER / name).read_text("utf-8") == shipped.texts()[name]


def test_nothing_else_is_provisioned() -> None:
    """Grafana loads every file in these folders: a forgotten one would be loaded too."""
    there = {
        str(file.relative_to(FOLDER))
        for part in ("provisioning", "dashboards")
        for file in (FOLDER / part).rglob("*.*")
    }
    assert there == set(shipped.texts())


def test_the_table_is_as_install_makes_it(database: Database) -> None:
    """The shape that the dashboard was made for is the table's."""
    install(database.dsn, shipped.TABLE, routes=[])
    assert table_shape(database.dsn, shipped.TABLE) == shipped.SHAPE


def test_live_metrics_shows_four_kinds_beside_sql() -> None:
    """Gauge, time series, stat and table on the channel, and a SQL panel of the table."""
    model = json.loads(shipped.texts()["dashboards/live_metrics.json"])
    live = [panel for panel in model["panels"] if panel["datasource"]["uid"] == "grafana"]
    assert sorted(panel["type"] for panel in live) == ["gauge", "stat", "table", "timeseries"]
    assert {panel["targets"][0]["channel"] for panel in live} == {"stream/pg/live_metrics"}
    assert {panel["targets"][0]["queryType"] for panel in live} == {"measurements"}
    (sql,) = [panel for panel in model["panels"] if panel not in live]
    assert '"public"."live_metrics"' in sql["targets"][0]["rawSql"]
    assert "random walk" in model["description"]


def test_the_ini_has_only_keys_that_grafana_reads() -> None:
    """`[live] enabled` and `allow_anonymous` are keys of no Grafana, and a comment says so."""
    text = (FOLDER / "grafana.ini").read_text()
    ini = configparser.ConfigParser(interpolation=None)
    ini.read_string(text)
    assert {section: dict(ini[section]) for section in ini.sections()} == {
        "live": {"max_connections": "1000"},
        "auth.anonymous": {"enabled": "true", "org_role": "Viewer"},
    }
    assert "[live] enabled and [live] allow_anonymous" in text
