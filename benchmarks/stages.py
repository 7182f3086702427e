"""Where the time of ours goes: the bridge's own metrics before and after a load, as what happened between.

The bridge counts how long rows took from the bell to the written message and from there to the pong. Means are exact;
percentiles lie somewhere within a class of its histogram, whose first ends at 1 ms, so they are told as the upper end
of their class. Finer ones are stamped from outside, by `benchmarks.staged_bridge`, for routes of a table.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.percentiles import percentile, sorted_samples
from benchmarks.staged_bridge import FILE
from benchmarks.systems import System

Samples = Mapping[str, float]

STAGES: Final = ("bell_to_push", "push_to_acknowledgement")


def status_url(log: Path) -> str:
    """Where the bridge says in its `log` that it serves its status.

    Raises:
        LookupError: it does not say so.
    """
    for line in log.read_text().splitlines():
        if line.startswith("{") and (record := json.loads(line)).get("event") == "serving_status":
            return str(record["url"])
    raise LookupError(f"the bridge serves no status: {log.read_text()[-500:]}")


async def scrape(url: str) -> dict[str, float]:
    """The samples of the stages now; of a histogram's class by ``name{le}``."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{url}/metrics")).raise_for_status().text
    wanted = tuple(f"trio_bridge_{stage}_seconds" for stage in STAGES)
    return {
        f"{sample.name}{sample.labels.get('le', '')}": sample.value
        for family in text_string_to_metric_families(text)
        if family.name in wanted
        for sample in family.samples
    }


def staged(system: System, told: Path) -> System:
    """`system` run with stamps that are told in the file `told`; a route of a channel as it is."""
    if not system.keeps_rows:
        return system
    argv = (sys.executable, "-m", "benchmarks.staged_bridge", "run")
    return replace(system, argv=argv, environment={**system.environment, FILE: str(told)})


def legs(system: System) -> dict[str, float | None]:
    """Of each leg of a row's way that `system` (of `staged`, and ended) has told, p50 and p99 in ms."""
    if FILE not in system.environment:
        return {}
    told: dict[str, list[float]] = json.loads(Path(system.environment[FILE]).read_text())
    return {
        f"{leg}_p{percent}_ms": 1e3 * percentile(sorted_samples(times), percent) if times else None
        for leg, times in told.items()
        for percent in (50, 99)
    }


def figures(before: Samples, after: Samples) -> dict[str, float | None]:
    """Of each stage the observations, their mean and the classes of p50 and p99, ms."""
    happened = {name: value - before.get(name, 0.0) for name, value in after.items()}
    told: dict[str, float | None] = {}
    for stage in STAGES:
        name = f"trio_bridge_{stage}_seconds"
        count = happened[f"{name}_count"]
        told[f"{stage}_count"] = count
        if not count:
            continue
        told[f"{stage}_mean_ms"] = 1e3 * happened[f"{name}_sum"] / count
        prefix = f"{name}_bucket"
        classes = {
            float(key.removeprefix(prefix)): n for key, n in happened.items() if key.startswith(prefix)
        }
        for percent in (50, 99):
            bound = min(le for le, below in classes.items() if below >= percent / 100 * count)
            told[f"{stage}_p{percent}_below_ms"] = 1e3 * bound if math.isfinite(bound) else None
    return told
