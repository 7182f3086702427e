"""Which row is due when, and what it says: the demo's rows as a pure function of their number.

Row `number` (from 0) belongs to one instant, and every instant to one row, so the time that travels with a
row names it exactly: whoever receives it can tell which row it was, without a key among the fields. Values
are smooth curves with a little noise, one per sensor, that a person would believe of a machine.

No clock, no randomness that is not seeded by the number, no network.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

_MICROSECONDS = 1_000_000

# Name, level, swing, period in seconds, phase, noise. Periods have no common measure, so the picture never
# repeats.
_SENSORS = (
    ("inlet", 42.0, 9.0, 23.0, 0.0, 0.35),
    ("outlet", 58.0, 6.0, 31.0, 1.9, 0.30),
    ("bearing", 71.0, 3.5, 11.0, 4.0, 0.45),
    ("ambient", 21.0, 2.0, 61.0, 2.6, 0.15),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the demo table.

    Attributes:
        time_us: microseconds since 1970.
        value: degrees Celsius.
        sensor: which sensor measured it.
    """

    time_us: int
    value: float
    sensor: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rows at a constant rate from a moment on.

    Attributes:
        start_us: the instant of row 0, microseconds since 1970.
        rate: rows per second, 1 to 100,000.
    """

    start_us: int
    rate: int

    def __post_init__(self) -> None:
        if not 1 <= self.rate <= 100_000:
            raise ValueError(f"a rate of {self.rate} rows/s: choose from 1 to 100000")

    def time_us(self, number: int) -> int:
        """The instant of a row, microseconds since 1970."""
        return self.start_us + number * _MICROSECONDS // self.rate

    def number(self, time_us: int) -> int | None:
        """The row of an instant; None: no row of this schedule has it."""
        number = -((self.start_us - time_us) * self.rate // _MICROSECONDS)
        return number if number >= 0 and self.time_us(number) == time_us else None

    def due(self, elapsed_s: float) -> int:
        """How many rows are due `elapsed_s` seconds after the start: those with numbers below this."""
        return math.floor(elapsed_s * self.rate) + 1

    def due_at(self, number: int) -> float:
        """Seconds after the start at which a row is due."""
        return number / self.rate

    def row(self, number: int) -> Row:
        """The row with this number; always the same one."""
        name, level, swing, period, phase, noise = _SENSORS[number % len(_SENSORS)]
        angle = 2 * math.pi * number / self.rate / period + phase
        # A second, faster wave keeps the curve from looking like a textbook's.
        wave = math.sin(angle) + 0.25 * math.sin(3.7 * angle + 1.0)
        value = level + swing * wave + random.Random(number).gauss(0.0, noise)
        return Row(self.time_us(number), round(value, 3), name)
