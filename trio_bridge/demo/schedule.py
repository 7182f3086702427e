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

MAX_SENSORS = 50

# The last of several sensors is silent until then, so that one sees a series appear. Seconds; guess: long enough to
# have looked at the others.
APPEARS_S = 5.0

_MICROSECONDS = 1_000_000

# Name, level, swing, period in seconds, phase, noise. Periods have no common measure, so the picture never
# repeats. By name, because lines have their colours in that order: of up to eight sensors the last one's
# appearance leaves the others theirs.
_SENSORS = (
    ("ambient", 21.0, 2.0, 61.0, 2.6, 0.15),
    ("bearing", 71.0, 3.5, 11.0, 4.0, 0.45),
    ("inlet", 42.0, 7.0, 23.0, 0.0, 0.35),
    ("outlet", 57.0, 4.0, 31.0, 1.9, 0.30),
    ("pump", 84.0, 2.5, 17.0, 0.8, 0.25),
    ("return", 32.0, 3.0, 41.0, 5.1, 0.20),
    ("seal", 97.0, 3.0, 13.0, 3.3, 0.40),
    ("winding", 110.0, 4.0, 29.0, 1.2, 0.35),
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
        sensors: how many take turns, 1 to `MAX_SENSORS`.
    """

    start_us: int
    rate: int
    sensors: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.rate <= 100_000:
            raise ValueError(f"a rate of {self.rate} rows/s: choose from 1 to 100000")
        if not 1 <= self.sensors <= MAX_SENSORS:
            raise ValueError(f"{self.sensors} sensors: choose from 1 to {MAX_SENSORS}")

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
        sensor = self._sensor(number)
        again, kind = divmod(sensor, len(_SENSORS))
        name, level, swing, period, phase, noise = _SENSORS[kind]
        if again:
            # Another machine of the same make.
            name, level, phase = f"{name}_{again + 1}", level + 1.5 * again, phase + again
        angle = 2 * math.pi * number / self.rate / period + phase
        # A second, faster wave keeps the curve from looking like a textbook's.
        wave = math.sin(angle) + 0.25 * math.sin(3.7 * angle + 1.0)
        value = level + swing * wave + random.Random(number).gauss(0.0, noise)
        return Row(self.time_us(number), round(value, 3), name)

    def _sensor(self, number: int) -> int:
        """Whose row it is, from 0; while the last sensor is silent the others take its turns."""
        turn, sensor = divmod(number, self.sensors)
        if 0 < sensor == self.sensors - 1 and number / self.rate < APPEARS_S:
            return turn % (self.sensors - 1)
        return sensor
