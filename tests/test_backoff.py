"""The waits: jittered, bounded, obedient."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.backoff import REFUSED_MAX_S, REFUSED_MIN_S, STEADY_S, Backoff


class Highest(random.Random):
    """The largest draw each time: shows the bound."""

    def uniform(self, a, b):
        return max(a, b)


class Lowest(random.Random):
    """The smallest draw each time."""

    def uniform(self, a, b):
        return min(a, b)


@pytest.mark.fault(48)
def test_the_bound_doubles_up_to_the_cap():
    """Each failure doubles the longest possible wait until the cap."""
    backoff = Backoff(0.1, 1.0, Highest())
    assert [backoff.next_wait_s() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


@pytest.mark.fault(48)
def test_the_jitter_is_full():
    """The shortest possible wait is none, so that many bridges spread over the whole bound."""
    backoff = Backoff(0.1, 1.0, Lowest())
    assert [backoff.next_wait_s() for _ in range(3)] == [0.0, 0.0, 0.0]


def test_success_for_a_while_starts_again():
    """A steady run makes the next failure a first one; a short run does not."""
    backoff = Backoff(0.1, 1.0, Highest())
    backoff.next_wait_s()
    backoff.ran_for(STEADY_S - 1)
    assert backoff.next_wait_s() == 0.2
    backoff.ran_for(STEADY_S)
    assert backoff.next_wait_s() == 0.1


def test_reset_starts_again():
    """After `reset` the next failure is a first one."""
    backoff = Backoff(0.1, 1.0, Highest())
    backoff.next_wait_s()
    backoff.reset()
    assert backoff.next_wait_s() == 0.1


@pytest.mark.fault(49)
def test_refused_credentials_wait_long():
    """No tight loop against a Grafana that knows us not: 30 to 60 s, whatever the other bounds are."""
    assert Backoff(0.1, 1.0, Lowest()).next_wait_s(refused=True) == REFUSED_MIN_S == 30.0
    assert Backoff(0.1, 1.0, Highest()).next_wait_s(refused=True) == REFUSED_MAX_S == 60.0


def test_a_first_wait_above_the_cap_is_capped():
    """The cap holds from the first wait."""
    assert Backoff(5.0, 1.0, Highest()).next_wait_s() == 1.0


@given(
    seed=st.integers(),
    failures=st.lists(st.tuples(st.booleans(), st.none() | st.floats(0, 60)), min_size=1, max_size=200),
)
def test_every_wait_is_within_its_bounds(seed, failures):
    """Never negative, never below what was asked for, never above the cap that applies plus a little jitter."""
    backoff = Backoff(0.1, 30.0, random.Random(seed))
    for refused, retry_after_s in failures:
        wait_s = backoff.next_wait_s(refused=refused, retry_after_s=retry_after_s)
        assert wait_s >= (REFUSED_MIN_S if refused else 0.0)
        assert wait_s >= (retry_after_s or 0.0)
        assert wait_s <= max(REFUSED_MAX_S if refused else 30.0, (retry_after_s or 0.0) + 0.1)
