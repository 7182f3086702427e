"""An outcome → what was promised and what was found, as checks, as tables, and as JSON. Pure but for the drawing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.soak.run import RECOVERY_LIMIT_S, Incident, Outcome
from tests.soak.trend import Point, Trend, trend

WARM_UP_S = 600.0
"""Until a process has seen most of what it will keep: caches, arenas, the window. Guess; a third of a short run."""

LEAST_FOR_A_SLOPE_S = 1200.0
"""Less, after the warm-up, is no ground for a figure per hour: 1 MiB/h would be a third of a MiB. Guess."""

MOST_RSS_MIB_PER_H = 1.0
MOST_RSS_MIB = 150.0


@dataclass(frozen=True, slots=True)
class Check:
    """One promise.

    Attributes:
        promise: in words.
        kept: whether; None: this run was too short to tell.
        found: what was seen.
    """

    promise: str
    kept: bool | None
    found: str


def trends(outcome: Outcome) -> tuple[Trend, Trend]:
    """Of resident memory (MiB) and of file descriptors, an hour."""
    warm_up_s = min(WARM_UP_S, outcome.plan.seconds / 3)
    rss = [Point(sample.pid, sample.at_s, sample.rss_kib / 1024) for sample in outcome.samples]
    fds = [Point(sample.pid, sample.at_s, sample.fds) for sample in outcome.samples]
    return trend(rss, warm_up_s=warm_up_s), trend(fds, warm_up_s=warm_up_s)


def checks(outcome: Outcome) -> list[Check]:
    """Every promise that a soak can check."""
    verdict, incidents = outcome.verdict, outcome.incidents
    rss, _ = trends(outcome)
    enough = rss.longest_s >= LEAST_FOR_A_SLOPE_S
    peak = max(sample.rss_kib for sample in outcome.samples) / 1024
    queue = max(sample.queue_usage for sample in outcome.samples)
    without_reason = [one.name for one in incidents if one.duplicates and not one.failures]
    slow = [one.name for one in incidents if one.recovered_s is None]
    slowest = max((one.recovered_s for one in incidents if one.recovered_s is not None), default=0.0)
    before, after = outcome.quiet_fds
    return [
        Check("no committed row is lost", verdict.lost == 0, f"{verdict.lost} of {verdict.committed}"),
        Check("no uncommitted row is shown", verdict.phantoms == 0, str(verdict.phantoms)),
        Check("rows arrive as they were written", verdict.altered == 0, f"{verdict.altered} altered"),
        Check(
            "rows come again only after a failure",
            not without_reason,
            ", ".join(without_reason) or f"{verdict.duplicates} in all",
        ),
        Check(
            "no row comes again once a checkpoint covers it",
            outcome.repeated_in_vain == 0,
            f"{outcome.repeated_in_vain}, {outcome.looks} looks",
        ),
        Check(
            "checkpoint only grows and follows arrival; books close; nobody waits for us",
            not outcome.violations and min(outcome.looks, outcome.scrapes) > 0,
            "; ".join(outcome.violations[:5]) or f"{outcome.looks} looks, {outcome.scrapes} scrapes",
        ),
        Check(
            "no writer fails but with its server",
            not outcome.failed_writers,
            "; ".join(outcome.failed_writers) or "none",
        ),
        Check("the notification queue stays empty", queue < 0.01, f"at most {queue:.4%}"),
        Check(
            f"all rows are there {RECOVERY_LIMIT_S:.0f} s after a fault",
            not slow,
            ", ".join(slow) or f"at most {slowest:.1f} s",
        ),
        Check("no bug is logged", not outcome.crashes, str(outcome.crashes[:2] or "none")),
        Check("no secret is told", not outcome.secrets_told, ", ".join(outcome.secrets_told) or "none"),
        Check("it ends cleanly", outcome.exit_code == 0, f"exit code {outcome.exit_code}"),
        Check(f"memory stays below {MOST_RSS_MIB:.0f} MiB", peak < MOST_RSS_MIB, f"at most {peak:.1f} MiB"),
        Check(
            f"memory grows by less than {MOST_RSS_MIB_PER_H:g} MiB an hour",
            rss.per_hour is not None and rss.per_hour < MOST_RSS_MIB_PER_H if enough else None,
            _slope(rss, "MiB"),
        ),
        Check(
            "as many files are open as before the faults", after <= before, f"{before} before, {after} after"
        ),
    ]


def draw(outcome: Outcome, console: Console) -> None:
    """Faults, figures and checks as tables."""
    faults = Table("fault", title="faults, worst of each")
    for heading in (
        "times",
        "lasted s",
        "rows owed",
        "recovered s",
        "duplicates",
        "failed runs",
        "slowest commit s",
    ):
        faults.add_column(heading, justify="right")
    by_name: dict[str, list[Incident]] = defaultdict(list)
    for incident in outcome.incidents:
        by_name[incident.name].append(incident)
    for name, several in sorted(by_name.items()):
        faults.add_row(
            name,
            str(len(several)),
            f"{max(one.lasted_s for one in several):.1f}",
            str(max(one.owed for one in several)),
            "never" if None in (times := [one.recovered_s for one in several]) else f"{_longest(times):.2f}",
            str(max(one.duplicates for one in several)),
            str(max(one.failures for one in several)),
            f"{max(one.slowest_commit_s for one in several):.2f}",
        )
    console.print(faults)
    promises = Table("promise", "found", "kept", title="checks")
    for check in checks(outcome):
        kept = {True: "yes", False: "[bold red]NO", None: "too short to tell"}[check.kept]
        promises.add_row(check.promise, check.found, kept)
    console.print(promises)
    for name, value in figures(outcome).items():
        console.print(f"{name}: {value}")


def figures(outcome: Outcome) -> dict[str, Any]:
    """What the run measured beside its checks."""
    samples = outcome.samples
    rss, fds = trends(outcome)
    quarter = len(samples) // 4
    seconds = samples[-1].at_s - samples[0].at_s
    return {
        "minutes": round(seconds / 60, 1),
        "rows/s": round(outcome.verdict.committed / seconds),
        "RSS": _slope(rss, "MiB"),
        "files": _slope(fds, ""),
        "RSS median MiB by quarter": [
            round(
                median(sample.rss_kib for sample in samples[part * quarter : (part + 1) * quarter]) / 1024, 2
            )
            for part in range(4)
        ],
        "CPU %": round(100 * _cpu_s(outcome) / seconds, 1),
        "mode changes": outcome.metrics.get("trio_bridge_mode_changes_total"),
        "failed runs": outcome.metrics.get("trio_bridge_restarts_total"),
    }


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Everything, for whoever wants to draw it otherwise."""
    return {
        "checks": [asdict(check) for check in checks(outcome)],
        "figures": figures(outcome),
        **asdict(outcome),
    }


def _slope(found: Trend, unit: str) -> str:
    if found.per_hour is None:
        return "no process lived long enough"
    return (
        f"{found.per_hour:+.3f} {unit} an hour".replace("  ", " ")
        + f" ({found.lives} lives, the longest seen for {found.longest_s / 60:.0f} min after its warm-up)"
    )


def _longest(times: Sequence[float | None]) -> float:
    return max(time for time in times if time is not None)


def _cpu_s(outcome: Outcome) -> float:
    """Of all processes: the last that was seen of each."""
    return sum({sample.pid: sample.cpu_s for sample in outcome.samples}.values())
