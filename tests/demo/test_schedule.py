"""The schedule: instants name rows, and the curves are the same every time."""

from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.demo.schedule import APPEARS_S, MAX_SENSORS, Schedule


@given(
    start_us=st.integers(1_600_000_000_000_000, 2_000_000_000_000_000),
    rate=st.integers(1, 100_000),
    number=st.integers(0, 10**9),
)
def test_instant_names_the_row(start_us: int, rate: int, number: int) -> None:
    """A row's instant leads back to its number, and to no other."""
    schedule = Schedule(start_us, rate)
    assert schedule.number(schedule.time_us(number)) == number
    assert schedule.time_us(number + 1) > schedule.time_us(number)


@given(rate=st.integers(1, 100_000), offset=st.integers(-(10**7), 10**7))
def test_other_instants_name_nothing(rate: int, offset: int) -> None:
    """An instant is a row's, or it is nobody's: never the neighbour's."""
    schedule = Schedule(1_700_000_000_000_000, rate)
    number = schedule.number(schedule.start_us + offset)
    if number is None:
        near = round(offset * rate / 1_000_000)
        instants = {schedule.time_us(n) for n in range(max(0, near - 2), near + 3)}
        assert schedule.start_us + offset not in instants
    else:
        assert schedule.time_us(number) == schedule.start_us + offset


@given(rate=st.integers(1, 100_000), number=st.integers(0, 10**6))
def test_due_when_due(rate: int, number: int) -> None:
    """A row is due from its moment on (to a microsecond), and not before."""
    schedule = Schedule(0, rate)
    assert schedule.due(schedule.due_at(number) + 1e-6) > number
    assert schedule.due(schedule.due_at(number) - 1e-6) <= number


def test_rows_are_reproducible_curves() -> None:
    """Each sensor's values are the same every time, move slowly, and differ between sensors."""
    schedule = Schedule(0, 100)
    rows = [schedule.row(number) for number in range(4_000)]
    assert rows == [schedule.row(number) for number in range(4_000)]
    levels = {}
    for sensor in {row.sensor for row in rows}:
        values = [row.value for row in rows if row.sensor == sensor]
        steps = [abs(after - before) for before, after in itertools.pairwise(values)]
        assert statistics.mean(steps) < 1.0 < max(values) - min(values)
        levels[sensor] = statistics.mean(values)
    assert len(levels) == 4
    assert len({round(level / 5) for level in levels.values()}) == 4


@pytest.mark.parametrize("sensors", [1, 2, 8, MAX_SENSORS])
def test_last_sensor_appears_later(sensors: int) -> None:
    """All sensors but the last write from the start; the last one joins, and nobody's instant is left out."""
    schedule = Schedule(0, 200, sensors)
    first, later = (
        {row.sensor for row in (schedule.row(number) for number in range(since, since + 400))}
        for since in (0, int(APPEARS_S * 200))
    )
    assert len(later) == sensors
    assert first <= later
    assert len(first) == max(1, sensors - 1)
    if sensors <= 8:
        assert sorted(later)[: len(first)] == sorted(first), "the others' colours would change"


@pytest.mark.parametrize("sensors", [0, MAX_SENSORS + 1])
def test_impossible_number_of_sensors_is_refused(sensors: int) -> None:
    """More sensors than names, or none, are refused at once."""
    with pytest.raises(ValueError, match="sensors"):
        Schedule(0, 100, sensors)


@pytest.mark.parametrize("rate", [0, -1, 100_001])
def test_impossible_rate_is_refused(rate: int) -> None:
    """A rate at which instants would not tell rows apart is refused at once."""
    with pytest.raises(ValueError, match="rows/s"):
        Schedule(0, rate)
