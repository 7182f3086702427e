"""Histograms: counted like a list of all values would be, with quantiles that are off by at most their class."""

from __future__ import annotations

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.distribution import LATENCY_BOUNDS_S, Distribution

VALUES = st.lists(st.floats(0, 20, exclude_min=True), max_size=60)


@given(values=VALUES, part=st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_lies_in_the_class_of_the_true_one(values: list[float], part: float) -> None:
    """The class is right; beyond the last bound the bound is all that is said; of nothing there is no quantile."""
    distribution = Distribution(LATENCY_BOUNDS_S)
    for value in values:
        distribution.observe(value)
    quantile = distribution.statistics().quantile(part)
    if not values:
        assert quantile is None
        return
    rank = next(rank for rank in range(1, len(values) + 1) if rank >= part * len(values))
    true = sorted(values)[rank - 1]
    bounds = (0.0, *LATENCY_BOUNDS_S)
    where = bisect_left(LATENCY_BOUNDS_S, true)
    assert quantile is not None
    assert bounds[where] <= quantile <= bounds[min(where + 1, len(bounds) - 1)]


@given(before=VALUES, after=VALUES)
def test_what_happened_since_is_the_difference(before: list[float], after: list[float]) -> None:
    """Two moments tell what was observed between them, and the first does not change."""
    distribution, alone = Distribution(LATENCY_BOUNDS_S), Distribution(LATENCY_BOUNDS_S)
    for value in before:
        distribution.observe(value)
    first = distribution.statistics()
    for value in after:
        distribution.observe(value)
        alone.observe(value)
    lately = distribution.statistics().since(first)
    assert lately.counts == alone.statistics().counts
    assert lately.count == len(after)
    assert abs(lately.sum - sum(after)) < 1e-6
    assert first.count == len(before)
