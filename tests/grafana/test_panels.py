"""Panels: each avoids the traps of a live panel, and the README's example is one of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from trio_bridge.config.settings import RouteSettings
from trio_bridge.decoder.mapping import Column, Mapping, TableShape, map_table
from trio_bridge.grafana import panels

TARGET = panels.live_target("pg", "live_metrics", ["value"])
EVERYTHING = panels.live_target("pg", "live_metrics")
MAKERS = [panels.time_series, panels.stat, panels.gauge, panels.table]
README = Path(__file__).parents[2] / "grafana" / "README.md"


def mapped(*columns: tuple[str, str]) -> Mapping:
    shape = TableShape(
        "t", (Column("timestamp", "timestamptz"), *(Column(*column) for column in columns)), ()
    )
    return map_table(RouteSettings(name="r", table="public.t", stream="s"), shape)


def shown(panel: dict[str, Any]) -> tuple[str, list[str] | None]:
    """The panel's type and the fields that its target names."""
    (target,) = panel["targets"]
    return panel["type"], target.get("filter", {}).get("fields")


def test_target_subscribes_to_the_channel() -> None:
    """A target asks Grafana's own source for the channel, and with the fields it names always for the time."""
    assert TARGET == {
        "refId": "A",
        "datasource": {"type": "datasource", "uid": "grafana"},
        "queryType": "measurements",
        "channel": "stream/pg/live_metrics",
        "filter": {"fields": ["time", "value"]},
    }
    assert "filter" not in EVERYTHING


@pytest.mark.parametrize("make", MAKERS)
def test_buffer_holds_the_window(make: Any) -> None:
    """Every panel's buffer is as long as the route's window, or long enough where there is none."""
    assert make("p", TARGET, history_rows=8_000)["maxDataPoints"] == 8_000
    assert make("p", TARGET, history_rows=0)["maxDataPoints"] == panels.BUFFER_ROWS


@pytest.mark.parametrize("make", MAKERS)
def test_flag_is_hidden(make: Any) -> None:
    """Without named fields the keyframe's flag is taken out by its name, and nothing else is."""
    (transformation,) = make("p", EVERYTHING, history_rows=10)["transformations"]
    assert transformation["id"] == "filterFieldsByName"
    hidden = re.compile(transformation["options"]["exclude"]["pattern"])
    names = ["time", "value", "_0", "_9", "_10", "a_1", "_1a"]
    assert [name for name in names if hidden.search(name)] == ["_0", "_9"]
    assert "transformations" not in make("p", TARGET, history_rows=10)


def test_last_value_is_the_last_that_is_there() -> None:
    """Stat and gauge pass over the rows of other series; a gauge's ends are the operator's or the data's."""
    for make in (panels.stat, panels.gauge):
        options = make("p", TARGET, history_rows=10)["options"]
        assert options["reduceOptions"]["calcs"] == ["lastNotNull"]
    assert panels.gauge("p", TARGET, history_rows=10)["fieldConfig"]["defaults"] == {}
    scaled = panels.gauge("p", TARGET, history_rows=10, least=0, most=100)
    assert scaled["fieldConfig"]["defaults"] == {"min": 0, "max": 100}


def test_lines_of_series_span_the_rows_of_the_others() -> None:
    """Lines connect over nulls where rows are sparse, and only there: elsewhere a null is a gap in the data."""
    for sparse in (True, False):
        panel = panels.time_series("p", TARGET, history_rows=10, sparse=sparse)
        assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is sparse


def test_table_shows_the_latest_row_first() -> None:
    """A table is sorted by time, descending."""
    options = panels.table("p", TARGET, history_rows=10)["options"]
    assert options["sortBy"] == [{"displayName": "time", "desc": True}]


def test_kinds_of_fields_choose_the_panels() -> None:
    """Numbers become curves and figures, booleans steps, texts a table of everything."""
    mapping = mapped(("value", "float8"), ("on", "bool"), ("note", "text"))
    made = panels.panels_for(mapping, history_rows=10)
    assert [shown(panel) for panel in made] == [
        ("timeseries", ["time", "value"]),
        ("stat", ["time", "value"]),
        ("timeseries", ["time", "on"]),
        ("table", ["time", "value", "on", "note"]),
    ]
    assert [panel["targets"][0]["channel"] for panel in made] == ["stream/s/t"] * 4
    assert made[0]["fieldConfig"]["defaults"]["custom"]["lineInterpolation"] == "linear"
    assert made[2]["fieldConfig"]["defaults"]["custom"]["lineInterpolation"] == "stepAfter"
    assert [panel["title"] for panel in panels.panels_for(mapped(("on", "bool")), history_rows=10)] == ["t"]


def test_series_name_themselves() -> None:
    """Panels of a series route show every field that comes, connect their lines, and hide the flag."""
    made = panels.panels_for(mapped(("value", "float8"), ("on", "bool")), history_rows=10, series=True)
    assert [shown(panel) for panel in made] == [("timeseries", None), ("stat", None)]
    assert made[0]["fieldConfig"]["defaults"]["custom"]["spanNulls"] is True
    assert all("transformations" in panel for panel in made)


def test_readme_shows_such_a_panel() -> None:
    """The JSON that people copy from the README is what these functions make."""
    (block,) = re.findall(r"^```json\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    history_rows = 1_000
    assert json.loads(block) == panels.time_series("live_metrics", TARGET, history_rows=history_rows)
