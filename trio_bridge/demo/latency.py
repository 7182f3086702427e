"""How long things took: percentiles of the last few and of all, in bounded memory.

`LatencyMeter` keeps the last durations as they are, and all of them in classes 2 % wide: a summary of an hour
costs a few hundred numbers, and is right to 1 %. Pure; not safe against threads.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable

# Enough for a steady 99th percentile (the 20 slowest), few enough to sort several times a second.
RECENT = 2_000

_WIDTH = math.log(1.02)

# Below this nobody measures: the clocks of two threads, read one after the other.
_LEAST_S = 1e-6


class LatencyMeter:
    """Durations in seconds, in; percentiles in seconds, out."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._classes: Counter[int] = Counter()

    def add(self, duration_s: float) -> None:
        """Takes one duration; a negative one (see `_LEAST_S`) counts as the least."""
        duration_s = max(duration_s, _LEAST_S)
        self._recent.append(duration_s)
        self._classes[round(math.log(duration_s) / _WIDTH)] += 1

    def recent(self, share: float) -> float | None:
        """The duration that `share` (0 to 1) of the last `RECENT` did not exceed; None: there is none yet."""
        return _percentile(((duration_s, 1) for duration_s in sorted(self._recent)), len(self._recent), share)

    def overall(self, share: float) -> float | None:
        """The same of all, within 1 %."""
        classes = ((math.exp(index * _WIDTH), count) for index, count in sorted(self._classes.items()))
        return _percentile(classes, self._classes.total(), share)


def _percentile(sorted_counts: Iterable[tuple[float, int]], total: int, share: float) -> float | None:
    rank = max(1, math.ceil(total * share))
    below = 0
    for duration_s, count in sorted_counts:
        below += count
        if below >= rank:
            return duration_s
    return None
