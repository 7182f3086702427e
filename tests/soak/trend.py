"""A trend in samples of a process that may have been replaced by another, or by many.

A process that starts anew begins at another level, so each has an intercept of its own; what they share is the slope:

    slope = Σ over processes Σ (t - t̄)(y - ȳ)  /  Σ over processes Σ (t - t̄)²

with means of the process. A process that lived long weighs more by the cube of its life, as it should: a short one
says little about a trend. Pure arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

LEAST_SAMPLES = 30
"""Of one process, after its warm-up; fewer tell nothing. Guess: half a minute."""


@dataclass(frozen=True, slots=True)
class Point:
    """One sample.

    Attributes:
        process: which one was looked at; a new number begins a new life.
        at_s: when.
        value: what was seen.
    """

    process: int
    at_s: float
    value: float


@dataclass(frozen=True, slots=True)
class Trend:
    """What the samples say.

    Attributes:
        per_hour: the common slope; None: no process lived beyond its warm-up.
        lives: how many processes count.
        longest_s: of them the one observed longest, after its warm-up.
    """

    per_hour: float | None
    lives: int
    longest_s: float


def trend(points: Iterable[Point], *, warm_up_s: float) -> Trend:
    """The common slope of `points` (in the order of time), without the first `warm_up_s` of each process."""
    covariance = variance = longest_s = 0.0
    lives = 0
    for _, group in groupby(points, attrgetter("process")):
        life = list(group)
        warm = [point for point in life if point.at_s >= life[0].at_s + warm_up_s]
        if len(warm) < LEAST_SAMPLES:
            continue
        lives += 1
        longest_s = max(longest_s, warm[-1].at_s - warm[0].at_s)
        time, value = _mean([point.at_s for point in warm]), _mean([point.value for point in warm])
        covariance += sum((point.at_s - time) * (point.value - value) for point in warm)
        variance += sum((point.at_s - time) ** 2 for point in warm)
    return Trend(3600 * covariance / variance if lives else None, lives, longest_s)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
