"""Dashboards against the types of Grafana's own front end: every key is one it knows, every value one it takes.

Skipped, loudly, where there is no node or `make` has not fetched the packages of ``tests/browser``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.grafana.routes import mapped
from trio_bridge.config.names import TableName
from trio_bridge.grafana import shipped
from trio_bridge.grafana.dashboard import route_dashboard

BROWSER = Path(__file__).parents[1] / "browser"
COMPILER = BROWSER / "node_modules" / "typescript" / "bin" / "tsc"
SCHEMA = BROWSER / "node_modules" / "@grafana" / "schema" / "dist" / "types" / "raw"

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not COMPILER.exists() or not SCHEMA.exists(),
    reason="needs node, typescript and @grafana/schema (make tests/browser/node_modules/.ready)",
)

# The types want enumerations and complete options; a file has their texts, and leaves out what has a default.
HEAD = """
type Loose<T> = T extends string ? `${T}`
  : T extends (infer U)[] ? Loose<U>[]
  : T extends object ? { [K in keyof T]?: Loose<T[K]> }
  : T;
"""
KINDS = ("gauge", "stat", "table", "timeseries")


def program(models: dict[str, dict[str, Any]]) -> str:
    """A TypeScript program that says of each dashboard, and of each panel's options, what type it has."""
    imports = [f"import type {{ Dashboard }} from '{SCHEMA}/dashboard/x/types.gen';"]
    for kind in KINDS:
        module = f"{SCHEMA}/composable/{kind}/panelcfg/x/types.gen"
        imports.append(f"import type * as {kind} from '{module}';")
    said = []
    for name, model in models.items():
        said.append(f"export const {name}: Loose<Dashboard> = {json.dumps(model)};")
        for panel in model["panels"]:
            kind, number = panel["type"], panel["id"]
            said.append(
                f"export const {name}_o{number}: Loose<{kind}.Options> = {json.dumps(panel['options'])};"
            )
            if custom := panel["fieldConfig"]["defaults"].get("custom"):
                said.append(
                    f"export const {name}_c{number}: Loose<{kind}.FieldConfig> = {json.dumps(custom)};"
                )
    return "\n".join([*imports, HEAD, *said])


def complaints(text: str, folder: Path) -> list[str]:
    """What the compiler says of `text`."""
    source = folder / "dashboards.ts"
    source.write_text(text)
    options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "commonjs"]
    options += ["--moduleResolution", "node", "--target", "es2020"]
    done = subprocess.run(
        ["node", COMPILER, *options, source], capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout.splitlines()


def models() -> dict[str, dict[str, Any]]:
    """The shipped dashboards, and one with every kind of panel and a unit for each field."""
    columns = (("temp_c", "float8"), ("load_percent", "int4"), ("on", "bool"), ("note", "text"))
    every = route_dashboard(mapped(*columns), history_rows=10, table=TableName("public", "t"))
    files = {Path(name).stem: text for name, text in shipped.texts().items() if name.endswith(".json")}
    return {"every": every, **{name: json.loads(text) for name, text in files.items()}}


def test_dashboards_have_grafanas_types(tmp_path: Path) -> None:
    """The compiler has nothing to say."""
    assert complaints(program(models()), tmp_path) == []


def test_a_wrong_key_and_a_wrong_value_are_found(tmp_path: Path) -> None:
    """A check that cannot fail is none."""
    spoiled = (
        program(models())
        .replace('"graphMode"', '"grphMode"')
        .replace('"showPoints": "never"', '"showPoints": "no"')
    )
    said = "\n".join(complaints(spoiled, tmp_path))
    assert "'\"grphMode\"' does not exist" in said
    assert "Type '\"no\"' is not assignable" in said
