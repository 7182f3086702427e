"""What fault tests measured: kept in a file beside this one when pytest runs with ``--record-figures``.

A figure is a number with its unit in its name: ``detection_s=0.02``, ``duplicates=117``. Figures are recorded only by a
test that passed; a test that was not run keeps its old ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).with_name("figures.json")

Figures = dict[str, float]


def load() -> dict[str, Figures]:
    """Figures by test id."""
    if not FILE.exists():
        return {}
    known: dict[str, Figures] = json.loads(FILE.read_text())
    return known


def save(measured: dict[str, Figures]) -> None:
    """Replace the figures of the tests in `measured`."""
    known = load() | measured
    FILE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def text(figures: Figures) -> str:
    """For a table's cell: ``detection 0.02 s, duplicates 117``."""
    return ", ".join(_one(name, value) for name, value in figures.items())


def _one(name: str, value: float) -> str:
    words = name.split("_")
    unit = words.pop() if words[-1] in ("s", "ms", "percent", "mib", "rows") else ""
    unit = {"percent": "%", "mib": "MiB"}.get(unit, unit)
    number = f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"
    return f"{' '.join(words)} {number} {unit}".strip()
