"""Results as text: one line a run for who waits, a Markdown table a case for who reads.

Pure: runs in, text out. Where a case has peers among its systems, each figure is also told as its ratio to the best
of them in the same file and with the same parameters: that is what can be compared between machines. Writers are held
against their own speed with nothing attached.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

import msgspec

from benchmarks.results import Run
from benchmarks.systems import BASELINES

PERCENTS: Final = (50.0, 99.0, 99.9)

LESS_IS_BETTER: Final = frozenset(
    {f"p{percent:g}_ms" for percent in PERCENTS}
    | {
        "messages_per_s",
        "system_cpu_us_per_row",
        "postgres_cpu_us_per_row",
        "system_cpu_percent",
        "queries_per_s",
    }
    | {
        "rss_mib",
        "peak_rss_mib",
        "first_row_s",
        "after_commit_s",
        "from_start_s",
        "behind_s",
        "after_commit_p50_ms",
        "after_commit_p99_ms",
    }
)
MORE_IS_BETTER: Final = frozenset({"rows_per_s", "commits_per_s"})


def figures(run: Run) -> dict[str, float | None]:
    """All of `run`, the percentiles of its latency first."""
    latency = dict(run.latency_ms)
    return {f"p{percent:g}_ms": latency[percent] for percent in PERCENTS if percent in latency} | run.figures


def merged(runs: Iterable[Run]) -> list[Run]:
    """One run for all of the same key: of each figure the median (the lower one of two in the middle)."""
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault(run.key, []).append(run)
    return [_median_run(same) for same in groups.values()]


def _median_run(runs: Sequence[Run]) -> Run:
    def median(values: Iterable[float | None]) -> float | None:
        ordered = sorted(math.inf if value is None else value for value in values)
        middle = ordered[(len(ordered) - 1) // 2]
        return middle if math.isfinite(middle) else None

    return msgspec.structs.replace(
        runs[0],
        figures={name: median(run.figures[name] for run in runs) for name in runs[0].figures},
        latency_ms=[
            (percent, median(dict(run.latency_ms)[percent] for run in runs))
            for percent, _ in runs[0].latency_ms
        ],
    )


def line(run: Run) -> str:
    """`run` in one line."""
    case, parameters, system = run.key
    told = "  ".join(f"{name} {number(figure)}" for name, figure in figures(run).items())
    return f"{case} [{parameters}] {system}: {told}"


def table(runs: Iterable[Run]) -> str:
    """A Markdown table for each case and its parameters; of repeated runs the medians."""
    parts = []
    of_cases = sorted(merged(runs), key=lambda run: run.case)
    for (case, parameters), group in groupby(of_cases, key=lambda run: run.key[:2]):
        of_case = list(group)
        names = list(dict.fromkeys(name for run in of_case for name in figures(run)))
        parts.append(f"### {case} {parameters}".rstrip())
        parts.append("")
        parts.append(_row(["figure", *(run.system for run in of_case)]))
        parts.append(_row(["---"] * (len(of_case) + 1)))
        parts += [_row([name, *(_cell(run, name, of_case) for run in of_case)]) for name in names]
        parts.append("")
    return "\n".join(parts)


def baseline(name: str, runs: Sequence[Run]) -> float | None:
    """What figure `name` is held against among the `runs` of a case: the best peer's, the writers' speed alone."""
    if name not in LESS_IS_BETTER | MORE_IS_BETTER:
        return None
    alone = [run for run in runs if run.system == "none"]
    peers = [run for run in runs if run.system in BASELINES]
    of = alone if alone and name in MORE_IS_BETTER else peers
    if len(runs) == 1:
        return None
    found = [figure for run in of if (figure := figures(run).get(name)) is not None]
    if not found:
        return None
    return max(found) if name in MORE_IS_BETTER else min(found)


def number(figure: float | None) -> str:
    """With three digits that count; None is infinite."""
    if figure is None:
        return "∞"
    return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.3g}"


def _cell(run: Run, name: str, runs: Sequence[Run]) -> str:
    if name not in figures(run):
        return ""
    figure, best = figures(run)[name], baseline(name, runs)
    if figure is None or best is None or best <= 0:
        return number(figure)
    return f"{number(figure)} ({figure / best:.2g}x)"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
