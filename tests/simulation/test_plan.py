"""A seed's plan: the same for the same seed, with faults that exist, and limits that are given back."""

from __future__ import annotations

import random
import time

import pytest

import trio_bridge.postgres.delta
from tests.simulation.determinism import determined
from tests.simulation.faults import BridgeFaults, GrafanaFaults, PostgresFaults
from tests.simulation.plan import FAULTS, plan_of
from tests.simulation.settings import limits_of
from trio_bridge.sender.pace import Outbox


def test_a_seed_is_one_plan() -> None:
    """Drawn from nothing but the seed."""
    assert plan_of(7) == plan_of(7) != plan_of(8)


def test_every_fault_has_a_name_and_every_name_a_fault() -> None:
    """No fault is left out of the swarm."""
    made = [
        name
        for part in (PostgresFaults, BridgeFaults, GrafanaFaults)
        for name in vars(part)
        if not name.startswith("_")
    ]
    assert sorted(made) == sorted(FAULTS)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_program_gets_everything_back(seed: int) -> None:
    """Clocks, chance and limits are as before."""
    things = lambda: (  # noqa: E731
        time.monotonic,
        random.Random,
        random.getstate(),
        trio_bridge.postgres.delta.PAGE_ROWS,
        Outbox.__init__.__defaults__,
    )
    before = things()
    with determined(seed), limits_of(plan_of(seed)):
        random.random()
        assert things() != before
    assert things() == before
