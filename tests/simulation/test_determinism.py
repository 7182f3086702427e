"""A seed is a schedule: the same one, byte for byte, whenever and wherever it is run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.schedule import run_schedule
from tests.simulation.trace import Trace

SEED = 33
"""Of two replicas, fourteen kinds of faults and five failovers."""

PROGRAM = f"""
import sys
from tests.simulation.test_determinism import traced
sys.stdout.write(traced({SEED}))
"""


def traced(seed: int) -> str:
    """What happens in the schedule of `seed`."""
    trace = Trace()
    run_schedule(seed, trace)
    return trace.render()


@pytest.fixture(scope="module")
def first() -> str:
    """The trace of the seed, run once in this process."""
    return traced(SEED)


def test_the_same_seed_gives_the_same_trace_again(first: str) -> None:
    """Whatever ran before in this process leaves nothing behind that a schedule could meet."""
    traced(SEED + 1)
    assert traced(SEED) == first
    assert first.count("\n") > 500


@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_gives_the_same_trace(first: str, hash_seed: str) -> None:
    """Nothing depends on the order of a set, an address or the process."""
    again = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    assert again.stdout == first


def test_another_seed_gives_another_trace(first: str) -> None:
    """The seed decides."""
    assert traced(SEED + 1) != first
