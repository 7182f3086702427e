"""A route's dashboard: the right panels in the right places, with the right units."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grafana.routes import mapped
from trio_bridge.config.names import TableName
from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import CredentialsRefused
from trio_bridge.grafana.api import open_api
from trio_bridge.grafana.dashboard import dashboard_uid, push_dashboard, route_dashboard
from trio_bridge.live import LiveServer
from trio_bridge.live.auth import Role
from trio_bridge.secret import Secret

TABLE = TableName("public", "t")


def kinds(model: dict[str, Any]) -> list[tuple[str, str]]:
    return [(panel["type"], panel["datasource"]["uid"]) for panel in model["panels"]]


def test_live_and_past_stand_side_by_side() -> None:
    """A table's numbers: live curves beside SQL, gauge beside figure, a table of rows; all of the channel."""
    model = route_dashboard(mapped(("value", "float8")), history_rows=70, table=TABLE)
    past = "trio-bridge-postgres"
    assert kinds(model) == [
        ("timeseries", "grafana"),
        ("timeseries", past),
        ("gauge", "grafana"),
        ("stat", "grafana"),
        ("table", "grafana"),
    ]
    live, sql, *_ = model["panels"]
    assert live["gridPos"] == {"x": 0, "y": 0, "w": 12, "h": 8}
    assert sql["gridPos"] == {"x": 12, "y": 0, "w": 12, "h": 8}
    for panel in model["panels"]:
        if panel["datasource"]["uid"] == "grafana":
            assert panel["targets"][0]["queryType"] == "measurements"
            assert panel["targets"][0]["channel"] == "stream/s/t"
            assert panel["maxDataPoints"] == 70
    assert (model["time"]["to"], model["uid"]) == ("now", "trio-bridge-s-t")


@pytest.mark.parametrize(
    "columns", [[("value", "float8")], [("on", "bool")], [("a", "int4"), ("b", "bool"), ("c", "text")]]
)
def test_no_two_panels_overlap(columns: list[tuple[str, str]]) -> None:
    """Every panel has an id and a place of its own, inside the 24 columns."""
    panels = route_dashboard(mapped(*columns), history_rows=10, table=TABLE)["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)


def test_a_route_without_a_past_or_without_numbers() -> None:
    """A channel route has no SQL panel; texts alone are a table."""
    past = "trio-bridge-postgres"
    without_table = route_dashboard(mapped(("value", "float8")), history_rows=10, table=None)
    assert past not in [uid for _, uid in kinds(without_table)]
    texts = route_dashboard(mapped(("note", "text")), history_rows=10, table=TABLE)
    assert kinds(texts) == [("table", "grafana")]


def test_units_follow_the_columns() -> None:
    """Each field has its own unit; one field's unit is every series'; a scale is set where all share one."""

    def units(model: dict[str, Any]) -> list[tuple[str, str]]:
        overrides = model["panels"][0]["fieldConfig"]["overrides"]
        return [
            (override["matcher"]["options"], override["properties"][0]["value"]) for override in overrides
        ]

    two = (("temp_c", "float8"), ("load_percent", "int4"), ("other", "int4"))
    plain = route_dashboard(mapped(*two), history_rows=10, table=TABLE)
    assert units(plain) == [("temp_c", "celsius"), ("load_percent", "percent")]
    series = route_dashboard(mapped(*two, ("room", "text"), series="room"), history_rows=10, table=TABLE)
    assert units(series) == [("/^temp_c(_|$)/", "celsius"), ("/^load_percent(_|$)/", "percent")]
    one = route_dashboard(
        mapped(("load_percent", "int4"), ("room", "text"), series="room"), history_rows=10, table=TABLE
    )
    assert units(one) == []
    assert all(panel["fieldConfig"]["defaults"]["unit"] == "percent" for panel in one["panels"])
    gauge = next(panel for panel in one["panels"] if panel["type"] == "gauge")
    assert (gauge["fieldConfig"]["defaults"]["min"], gauge["fieldConfig"]["defaults"]["max"]) == (0, 100)


def test_series_are_found_by_themselves() -> None:
    """A series route's panels name no fields, connect lines and hide the keyframe's flag."""
    model = route_dashboard(
        mapped(("value", "float8"), ("room", "text"), series="room"), history_rows=10, table=TABLE
    )
    live = [panel for panel in model["panels"] if panel["datasource"]["uid"] == "grafana"]
    assert all("filter" not in panel["targets"][0] and "transformations" in panel for panel in live)
    assert live[0]["fieldConfig"]["defaults"]["custom"]["spanNulls"] is True


def test_a_uid_is_short_and_the_channels_own() -> None:
    """Grafana takes 40 characters; channels that differ only behind them, or in a sign, are still two dashboards."""
    assert dashboard_uid(mapped(("v", "int4"), measurement="a.b")) == "trio-bridge-s-a-b"
    uids = {dashboard_uid(mapped(("v", "int4"), measurement="m" * 60 + end)) for end in ("x", "y", "x")}
    assert len(uids) == 2
    assert all(len(uid) == 40 for uid in uids)


async def test_pushing_again_replaces() -> None:
    """The same uid is saved over; what the SQL panel needs is looked for; a Viewer may not save."""
    model = route_dashboard(mapped(("value", "float8")), history_rows=10, table=TABLE)
    async with LiveServer() as live:
        async with open_api(GrafanaSettings(url=live.url), Secret(f"Bearer {live.token}")) as api:
            assert await push_dashboard(api, model) == ("/d/trio-bridge-s-t/trio-bridge-s-t", False)
            live.shelf.sources["trio-bridge-postgres"] = {"type": "grafana-postgresql-datasource"}
            assert (await push_dashboard(api, model))[1] is True
        assert list(live.shelf.dashboards) == ["trio-bridge-s-t"]
        assert live.shelf.dashboards["trio-bridge-s-t"]["panels"] == model["panels"]
        viewer = live.accounts.add_token(live.accounts.add_account("v", Role.VIEWER), "t")
        async with open_api(GrafanaSettings(url=live.url), Secret(f"Bearer {viewer}")) as api:
            with pytest.raises(CredentialsRefused, match="to save a dashboard: Editor"):
                await push_dashboard(api, model)
