"""Two results beside each other: for each run that both have, what each figure has become, in Markdown.

Absolute figures of two machines, or of one on two days, are not comparable; so each is also told as its ratio to the
best peer of its own file, and that ratio's change says something about us. Where runs were repeated, medians.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import report
from benchmarks.results import Results, Run


def table(old: Results, new: Results) -> str:
    """A row for each figure that has a direction, of every run in both."""
    before, after = report.merged(old.runs), report.merged(new.runs)
    by_key = {run.key: run for run in before}
    lines = [
        f"{old.machine.commit} ({old.began:%Y-%m-%d %H:%M}) → {new.machine.commit} ({new.began:%Y-%m-%d %H:%M})",
        "",
        "| run | figure | old | new | new / old | to the best peer, old | new |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in after:
        if (was := by_key.get(run.key)) is not None:
            lines += _rows(was, run, before, after)
    return "\n".join(lines)


def _rows(was: Run, run: Run, before: Sequence[Run], after: Sequence[Run]) -> list[str]:
    rows = []
    for name, figure in report.figures(run).items():
        old = report.figures(was).get(name)
        if name not in report.LESS_IS_BETTER | report.MORE_IS_BETTER or not old or not figure:
            continue
        ratios = [
            f"{value / held:.2g}x" if (held := report.baseline(name, _same_case(run, runs))) else ""
            for value, runs in ((old, before), (figure, after))
        ]
        cells = [
            " ".join(run.key),
            name,
            report.number(old),
            report.number(figure),
            f"{figure / old:.2f}",
            *ratios,
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _same_case(run: Run, runs: Sequence[Run]) -> list[Run]:
    return [other for other in runs if other.key[:2] == run.key[:2]]
