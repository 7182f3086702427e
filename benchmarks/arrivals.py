"""When each row first reached the sink: stamped frames in, an array of times by row number out.

Writers put the number of a row, counted from zero, into its field ``value``; rows that only show that a system works
have negative numbers and are not counted. A row counts once, at its first arrival, whatever repeats it (keyframes,
duplicates). Numbers are dense, so the array is small and a row that never came is a NaN.
"""

from __future__ import annotations

import math
import re
from array import array

from benchmarks.wire import Frame, unmasked

# A float: systems write the same number differently.
_NUMBER = re.compile(rb"[ ,]value=([-+.0-9e]+)")


class Arrivals:
    """First arrivals, monotonic seconds.

    Attributes:
        times: by row number; NaN: has not come.
        count: different rows that have come.
        first_probe: when the first row with a negative number came, or None.
    """

    def __init__(self) -> None:
        self.times: array[float] = array("d")
        self.count = 0
        self.first_probe: float | None = None

    def take(self, stamp: float, frame: Frame) -> None:
        """Note the rows in `frame`, which came at `stamp` and after all before it."""
        times = self.times
        for text in _NUMBER.findall(unmasked(frame)):
            number = int(float(text))
            if number < 0:
                if self.first_probe is None:
                    self.first_probe = stamp
                continue
            if number >= len(times):
                times.extend(array("d", [math.nan]) * (number + 1 - len(times) + len(times) // 2))
            if math.isnan(times[number]):
                times[number] = stamp
                self.count += 1
