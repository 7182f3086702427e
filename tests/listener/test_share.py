"""What one process says of itself to the other replicas."""

from __future__ import annotations

from trio_bridge.listener.share import GIVE_INTERVAL_S, Share


def test_one_route_is_not_shared() -> None:
    """A process with one route is neither idle nor busy, and gives nothing away."""
    share = Share(1)
    assert not share.idle
    share.leads("a")
    assert not share.busy
    assert not share.give(0)


def test_who_leads_nothing_is_idle() -> None:
    """Idle until it leads, and again when it does not any more."""
    share = Share(2)
    assert (share.idle, share.busy) == (True, False)
    share.leads("a")
    assert (share.idle, share.busy) == (False, True)
    share.ended("b")
    assert share.busy
    share.ended("a")
    assert (share.idle, share.busy) == (True, False)


def test_who_cannot_reach_grafana_is_not_idle() -> None:
    """It would take a route from one that works, until it works itself."""
    share = Share(2)
    share.failing("a")
    assert not share.idle
    share.works("b")
    assert not share.idle
    share.works("a")
    assert share.idle


def test_one_route_at_a_time_is_given_and_never_the_last() -> None:
    """Whoever asks first in an interval gives its route away, if there is another left."""
    share = Share(3)
    for route in "abc":
        share.leads(route)
    assert share.may_give(0)
    assert share.give(0)
    assert not share.give(0)
    share.ended("a")
    assert not share.give(GIVE_INTERVAL_S - 0.1)
    assert share.give(share.asks_at(0))
    share.ended("b")
    assert not share.may_give(3 * GIVE_INTERVAL_S)
