"""Outcomes → what one wants to know of ten thousand of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.outcome import Outcome
from tests.simulation.plan import FAULTS


@dataclass(slots=True)
class Summary:
    """Sums; `add` to it.

    Attributes:
        most_duplicates: in one schedule, and its seed.
        longest_recovery: seconds, and the seed.
        faultless: schedules in which no fault was made.
        faultless_duplicates: duplicates in those.
        failed: outcomes that broke a promise.
    """

    schedules: int = 0
    rows: int = 0
    least_rows: int = 1 << 60
    lost: int = 0
    phantoms: int = 0
    duplicates: int = 0
    most_duplicates: tuple[int, int] = (0, 0)
    longest_recovery: tuple[float, int] = (0.0, 0)
    runs: int = 0
    mode_changes: int = 0
    virtual_s: float = 0.0
    faultless: int = 0
    faultless_duplicates: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """One more."""
        self.schedules += 1
        self.rows += outcome.rows
        self.least_rows = min(self.least_rows, outcome.rows)
        self.lost += outcome.lost
        self.phantoms += outcome.phantoms
        self.duplicates += outcome.duplicates
        self.most_duplicates = max(self.most_duplicates, (outcome.duplicates, outcome.seed))
        self.longest_recovery = max(self.longest_recovery, (outcome.recovery_s, outcome.seed))
        self.runs += outcome.runs
        self.mode_changes += outcome.mode_changes
        self.virtual_s += outcome.virtual_s
        self.faults += outcome.faults
        if not outcome.faults:
            self.faultless += 1
            self.faultless_duplicates += outcome.duplicates
        if outcome.violations:
            self.failed.append(outcome)

    def lines(self, wall_s: float) -> Iterable[str]:
        """For the terminal, after so many real seconds."""
        count = max(1, self.schedules)
        yield f"{self.schedules} schedules in {wall_s:.0f} s: {60 * count / max(wall_s, 1e-9):.0f} a minute"
        yield f"{self.rows} rows in the tables ({self.rows / count:.0f} a schedule, at least {self.least_rows})"
        yield f"{self.lost} lost, {self.phantoms} phantoms, {len(self.failed)} schedules broke a promise"
        yield (
            f"{self.duplicates} duplicates: {self.duplicates / count:.1f} a schedule, "
            f"at most {self.most_duplicates[0]} (seed {self.most_duplicates[1]})"
        )
        yield f"longest recovery {self.longest_recovery[0]:.1f} s (seed {self.longest_recovery[1]})"
        yield (
            f"{self.faults.total()} faults, {self.runs} runs of the route, {self.mode_changes} changes of mode, "
            f"{self.virtual_s / 3600:.1f} virtual hours"
        )
        for name in FAULTS:
            yield f"  {name:<20}{self.faults[name]:>8}"
