"""Percentiles are exact, and a lost row is late, not absent."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.percentiles import CURVE, curve, percentile, sorted_samples


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(0, 100, exclude_min=True))
def test_a_percentile_is_the_smallest_sample_that_covers_the_share(
    samples: list[float], percent: float
) -> None:
    """At least the share is not above it, and of any smaller sample that is not true."""
    ordered = sorted_samples(samples)
    found = percentile(ordered, percent)

    def share(figure: float) -> float:
        return 100 * sum(sample <= figure for sample in samples) / len(samples)

    assert found in samples
    assert share(found) >= percent - 1e-6
    assert all(share(sample) < percent + 1e-6 for sample in samples if sample < found)


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 500), (99, 990), (99.9, 999), (100, 1000)])
def test_ranks_are_whole_where_the_share_is(percent: float, expected: int) -> None:
    """Of the samples 1 … 1,000 each percentile is the obvious one, whatever binary fractions say."""
    assert percentile(range(1, 1001), percent) == expected


def test_no_samples_have_no_percentile() -> None:
    """Nothing measured is an error, not a zero."""
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


def test_a_lost_row_is_infinitely_late() -> None:
    """Of 100 rows with 2 lost p50 is a time and p99 is none."""
    samples = [0.001] * 98 + [math.nan] * 2
    told = dict(curve(sorted_samples(samples)))
    assert set(told) == set(CURVE)
    assert told[50.0] == 0.001
    assert told[99.0] is None
    assert told[100.0] is None
