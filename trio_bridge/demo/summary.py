"""The demo's last words: what was committed, what arrived, and whether that is the same.

Turns the verdict and the last moment into an exit code and a few lines. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from trio_bridge.demo.audit import Verdict
from trio_bridge.demo.statistics import DemoStatistics


@dataclass(frozen=True, slots=True)
class Summary:
    """The outcome of a run.

    Attributes:
        moment: the last one.
        verdict: the table against what was published; None: the Grafana is somebody else's and was not asked.
        in_table: rows of this run in the table.
        unacknowledged: of these, the ones that the bridge's last checkpoint does not cover.
        balanced: whether the bridge's own books close.
        latency_p50_ms: commit → published, median over the whole run.
        latency_p99_ms: the same, 99th percentile.
    """

    moment: DemoStatistics
    verdict: Verdict | None
    in_table: int
    unacknowledged: int
    balanced: bool
    latency_p50_ms: float | None
    latency_p99_ms: float | None

    @property
    def faults(self) -> list[str]:
        """What is wrong, in sentences; empty is a clean run."""
        found = []
        if self.verdict is not None:
            if self.verdict.missing:
                found.append(f"{self.verdict.missing:,} committed rows never arrived")
            if self.verdict.phantom:
                found.append(f"{self.verdict.phantom:,} rows arrived that are not in the table")
            if self.verdict.altered:
                found.append(f"{self.verdict.altered:,} rows arrived changed")
        if self.unacknowledged:
            found.append(f"{self.unacknowledged:,} committed rows were not acknowledged")
        if self.moment.rejected:
            found.append(f"{self.moment.rejected:,} rows were rejected")
        if not self.balanced:
            found.append("the bridge's books do not close")
        return found

    @property
    def exit_code(self) -> int:
        """0: every committed row arrived; 1: see `faults`."""
        return 1 if self.faults else 0

    def lines(self) -> list[str]:
        """The summary, one thing a line."""
        moment = self.moment
        lines = [f"committed     {self.in_table:>12,}  rows in the table, after {moment.elapsed_s:.0f} s"]
        if moment.uncertain:
            lines[0] += f" ({moment.uncertain:,} were cut off before the server answered)"
        lines.append(f"acknowledged  {self.in_table - self.unacknowledged:>12,}")
        if self.verdict is not None:
            lines.append(f"delivered     {moment.delivered:>12,}")
            lines.append(f"lost          {self.verdict.missing:>12,}")
        lines.append(f"duplicates    {moment.duplicates:>12,}")
        lines.append(f"restarts      {moment.restarts:>12,}  of the bridge's route")
        if self.latency_p50_ms is not None and self.latency_p99_ms is not None:
            latency = f"{self.latency_p50_ms:.1f} / {self.latency_p99_ms:.1f}"
            lines.append(f"latency       {latency:>12}  ms, commit → viewer, p50 / p99")
        if not self.in_table:
            lines.append("Nothing was written.")
        elif not self.faults:
            lines.append("Every committed row arrived.")
        return lines + [f"WRONG: {fault}" for fault in self.faults]
