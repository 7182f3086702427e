"""How long things took: a histogram that costs a bisection and two additions an observation.

Pure; used from Trio's thread only. It counts since the program began, as Prometheus wants it; what happened lately
is the difference of two moments (`DistributionStatistics.since`), and that has quantiles. It never grows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

LATENCY_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the classes for what happens inside of the bridge, seconds; a hundred times beyond the usual."""

AGE_BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86_400.0)
"""Upper ends of the classes for the age of rows, seconds: a backlog may be days old."""


@dataclass(frozen=True, slots=True)
class DistributionStatistics:
    """A moment of a `Distribution`.

    Attributes:
        bounds: upper ends of the classes, ascending; one more class lies above the last.
        counts: observations in each class.
        sum: of all observed values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        """All observations."""
        return sum(self.counts)

    def since(self, before: DistributionStatistics) -> DistributionStatistics:
        """What was observed after `before`."""
        counts = tuple(now - then for now, then in zip(self.counts, before.counts, strict=True))
        return DistributionStatistics(self.bounds, counts, self.sum - before.sum)

    def quantile(self, part: float) -> float | None:
        """About the value that `part` (0 to 1) of the observations do not exceed; None: nothing was observed.

        Within a class the values are taken to be spread evenly; above the last bound nothing is known but that bound.
        """
        wanted = part * self.count
        if not self.count:
            return None
        below, low = 0, 0.0
        for high, count in zip(self.bounds, self.counts, strict=False):
            if count and below + count >= wanted:
                return low + (high - low) * (wanted - below) / count
            below += count
            low = high
        return self.bounds[-1]


class Distribution:
    """Observations in classes.

    Args:
        bounds: upper ends of the classes, ascending.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """One more."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def statistics(self) -> DistributionStatistics:
        """This moment."""
        return DistributionStatistics(self._bounds, tuple(self._counts), self._sum)
