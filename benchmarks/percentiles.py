"""Exact percentiles: all samples in, the figure of which a share of them is not larger out.

All samples are kept anyway (a run has at most some millions), so nothing is rounded into buckets. A row that never came
is a sample too: it is infinitely late, and is sorted behind all others, so that a system cannot look quick by losing
rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

CURVE: Final = (0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99, 100.0)
"""What is kept of each run: enough to draw the tail."""


def sorted_samples(samples: Iterable[float]) -> list[float]:
    """In order, with NaN (never came) as infinity."""
    return sorted(math.inf if math.isnan(sample) else sample for sample in samples)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest of the `ordered` samples that at least `percent` of them do not exceed (nearest rank).

    Raises:
        ValueError: there are no samples.
    """
    if not ordered:
        raise ValueError("no samples")
    # 99.9 / 100 * 1000 is not 999 in binary; a rank is whole, so what is that near to one is one.
    rank = math.ceil(round(percent / 100 * len(ordered), 9))
    return ordered[max(0, rank - 1)]


def curve(ordered: Sequence[float]) -> list[tuple[float, float | None]]:
    """(percent, figure) for `CURVE`; None is infinite, which JSON cannot say."""
    figures = [(percent, percentile(ordered, percent)) for percent in CURVE]
    return [(percent, figure if math.isfinite(figure) else None) for percent, figure in figures]
