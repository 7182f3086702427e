"""The dashboards and data sources of ``grafana/``: Grafana takes them, and keeps what makes a live panel live."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.target import Target

FOLDER = Path(__file__).parents[2] / "grafana"
DASHBOARDS = {
    file.name: json.loads(file.read_text("utf-8")) for file in sorted((FOLDER / "dashboards").glob("*.json"))
}
SOURCES = [
    source
    for file in sorted((FOLDER / "provisioning/datasources").glob("*.yaml"))
    for source in yaml.safe_load(file.read_text("utf-8"))["datasources"]
]


def shown(model: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Of each panel what decides whether it shows anything."""
    return [
        (
            panel["type"],
            panel.get("title"),
            panel.get("maxDataPoints"),
            [
                [target.get(key) for key in ("queryType", "channel", "filter", "rawSql", "expr")]
                for target in panel.get("targets", ())
            ],
        )
        for panel in model["panels"]
    ]


@pytest.mark.parametrize("model", DASHBOARDS.values(), ids=DASHBOARDS.keys())
async def test_a_dashboard_is_taken_and_kept(target: Target, model: dict[str, Any]) -> None:
    """Saved under a name of its own and read again, a dashboard has the same panels with the same queries."""
    uid = f"contract-{secrets.token_hex(6)}"
    saved = await target.ask(
        "POST",
        "/api/dashboards/db",
        {"dashboard": {**model, "id": None, "uid": uid, "title": uid}, "overwrite": False},
    )
    assert saved.status_code == 200, saved.text
    target.made.append(f"/api/dashboards/uid/{uid}")
    kept = (await target.ask("GET", f"/api/dashboards/uid/{uid}")).json()["dashboard"]
    assert shown(kept) == shown(model)


@pytest.mark.parametrize("source", SOURCES, ids=[source["name"] for source in SOURCES])
async def test_a_data_source_is_taken(target: Target, source: dict[str, Any]) -> None:
    """Grafana knows the type of each provisioned source, keeps where it leads, and shows no password."""
    uid = f"contract-{secrets.token_hex(6)}"
    named = {"access": "proxy", **source, "uid": uid, "name": uid}
    made = await target.ask("POST", "/api/datasources", named)
    assert made.status_code == 200, made.text
    target.made.append(f"/api/datasources/uid/{uid}")
    kept = (await target.ask("GET", f"/api/datasources/uid/{uid}")).json()
    assert {key: kept[key] for key in ("type", "url")} == {key: source[key] for key in ("type", "url")}
    assert "secureJsonData" not in kept
