"""The line through the samples is the line that they were made from, whatever lives it is cut into."""

from __future__ import annotations

import math

from tests.soak.trend import Point, trend


def line(process: int, start_s: int, seconds: int, *, level: float, per_hour: float) -> list[Point]:
    return [
        Point(process, at_s, level + per_hour * (at_s - start_s) / 3600)
        for at_s in range(start_s, start_s + seconds)
    ]


def test_a_line_has_its_own_slope() -> None:
    """What grows by 90 an hour is told as 90 an hour."""
    found = trend(line(1, 0, 600, level=50, per_hour=90), warm_up_s=60)
    assert found.per_hour is not None
    assert math.isclose(found.per_hour, 90)
    assert (found.lives, found.longest_s) == (1, 539)


def test_a_new_process_is_no_growth() -> None:
    """Two flat lives at two levels make a flat trend."""
    points = line(1, 0, 300, level=40, per_hour=0) + line(2, 300, 300, level=70, per_hour=0)
    found = trend(points, warm_up_s=60)
    assert found.per_hour is not None
    assert abs(found.per_hour) < 1e-9
    assert found.lives == 2


def test_the_warm_up_of_each_life_is_left_out() -> None:
    """Growth at a start does not count, of the second process neither."""
    points = []
    for process, start_s in ((1, 0), (2, 300)):
        points += line(process, start_s, 60, level=10, per_hour=3600)
        points += line(process, start_s + 60, 240, level=70, per_hour=0)
    found = trend(points, warm_up_s=60)
    assert found.per_hour is not None
    assert abs(found.per_hour) < 1e-9


def test_lives_too_short_to_tell_tell_nothing() -> None:
    """A process that hardly outlived its warm-up has no trend."""
    assert trend(line(1, 0, 80, level=1, per_hour=9), warm_up_s=60).per_hour is None
    assert trend([], warm_up_s=60).per_hour is None
