"""Results as SVG: latency as curves, everything else that is told as bars, a file for each case.

Runs in, files out. Colours belong to systems, so that one looks the same in every chart; ours are drawn thicker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import report
from benchmarks.results import Run
from benchmarks.staged_bridge import LEGS
from benchmarks.systems import SYSTEMS

_COLOURS: Final = {name: f"C{number}" for number, name in enumerate((*SYSTEMS, "none", "ours-away"))}
_BARS: Final = {
    "latency": ("messages_per_s", "system_cpu_us_per_row"),
    "writers": ("rows_per_s",),
    "copy": ("rows_per_s",),
    "catch-up": ("rows_per_s",),
    "saturation": ("in_time_rows_per_s",),
    "start": ("first_row_s",),
}
# Text stays text, and the same results make the same file.
mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "benchmarks"}


def draw(runs: Iterable[Run], directory: Path) -> list[Path]:
    """Draw `runs` (one a key) into `directory`; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    ordered = sorted(runs, key=lambda run: run.key[:2])
    for (case, parameters), group in groupby(ordered, key=lambda run: run.key[:2]):
        of_case = list(group)
        name = "-".join([case, *_distinguishing(of_case[0])])
        if any(run.latency_ms for run in of_case):
            files.append(_save(_curves(of_case, f"{case}: {parameters}"), directory / f"{name}.svg"))
        files += [
            _save(_bars(of_case, figure), directory / f"{name}-{figure}.svg")
            for figure in _BARS.get(case, ())
            if any(run.figures.get(figure) is not None for run in of_case)
        ]
        if any(f"{LEGS[0]}_p50_ms" in run.figures for run in of_case):
            files.append(_save(_legs(of_case, f"{case}: {parameters}"), directory / f"{name}-legs.svg"))
    return files


def _legs(runs: Sequence[Run], title: str) -> Figure:
    """A bar a system: the medians of a row's legs, one behind the other; for the pong no row waits."""
    figure = Figure(figsize=(8, 2.2 + 0.4 * len(runs)), layout="constrained")
    axes: Axes = figure.subplots()
    for run in runs:
        begin = 0.0
        for number, leg in enumerate(LEGS[:-1]):
            ms = run.figures.get(f"{leg}_p50_ms") or 0.0
            axes.barh(run.system, ms, left=begin, color=f"C{number}", label=leg)
            begin += ms
    axes.legend(*_once(axes), fontsize="small", ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.1))
    axes.set(xlabel="ms from the bell, medians", title=title)
    axes.title.set_fontsize("small")
    return figure


def _once(axes: Axes) -> tuple[list[Artist], list[str]]:
    labelled = {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    return list(labelled.values()), list(labelled)


def _curves(runs: Sequence[Run], title: str) -> Figure:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes: Axes = figure.subplots()
    for run in runs:
        told = [(percent, ms) for percent, ms in run.latency_ms if ms is not None and percent < 100]
        if told:
            # As HDR plots do: each further nine of the percentage is as wide as the one before.
            across = [1 / (1 - percent / 100) for percent, _ in told]
            width = 2.5 if run.system.startswith("ours") else 1.2
            axes.plot(across, [ms for _, ms in told], _COLOURS[run.system], label=run.system, linewidth=width)
    marks = [50, 90, 99, 99.9, 99.99]
    axes.set(xscale="log", yscale="log", ylabel="ms from due to the sink", xlabel="percentile", title=title)
    axes.set_xticks([1 / (1 - mark / 100) for mark in marks], [f"{mark:g}" for mark in marks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    axes.title.set_fontsize("small")
    return figure


def _bars(runs: Sequence[Run], name: str) -> Figure:
    told = [(run.system, value) for run in runs if (value := run.figures.get(name)) is not None]
    figure = Figure(figsize=(8, 1.2 + 0.4 * len(told)), layout="constrained")
    axes: Axes = figure.subplots()
    names = [system for system, _ in told]
    bars = axes.barh(names, [value for _, value in told], color=[_COLOURS[system] for system in names])
    axes.bar_label(bars, [report.number(value) for _, value in told], padding=3, fontsize="small")
    axes.invert_yaxis()
    axes.set_xlabel(name)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _distinguishing(run: Run) -> list[str]:
    names = ("rate", "rows_per_transaction", "rows")
    return [str(run.parameters[name]).removesuffix(".0") for name in names if name in run.parameters]


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, metadata={"Date": None})
    return path
