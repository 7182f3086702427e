"""The simulation is not blind: each planted defect breaks a promise in a schedule in which the product keeps them all.

The seeds were found by ``python -m tests.simulation.defects --seeds-only``; whoever changes what a seed stands for lets
it find them again when a defect that few schedules find is not found any more.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import pytest

from tests.simulation.defects import DEFECTS
from tests.simulation.defects.hunt import broken_by, hunt
from tests.simulation.defects.planting import Defect, Edit
from trio_bridge.ledger import Ledger

FIRST: Final = 20
"""So many schedules find most defects; the others need a moment that few have."""

SEEDS: Final = {
    "ids instead of snapshots": 0,
    "transactions in progress forgotten": 0,
    "xmin for xmax": 0,
    "each page with a snapshot of its own": 2,
    "a full page taken for the last": 0,
    "rows beyond the bytes of a page forgotten": 43,
    "the rest of a transaction skipped": 1,
    "an old snapshot for the rows, a new one for the target": 0,
    "the checkpoint a page ahead": 0,
    "an empty delta moves the checkpoint at once": 0,
    "a refused checkpoint not tried again": 97,
    "the epoch ignored": 113,
    "deltas on bells only": 31,
    "no arming": 50,
    "no LISTEN": 31,
    "acknowledged when sent": 0,
    "counted when sent": 0,
    "any pong answers every ping": 1,
    "a pong acknowledges what was written until it came": 1,
    "a mark leaves with the first of its lines": 1,
    "a full message takes the rest of its batch with it": 1,
    "the last row of a full page dropped": 1,
    "a keyframe before the rows that wait": 0,
    "messages without the keyframe's flag": 0,
    "a socket used again after a send that was cut short": 216,
    "the window in the order of arrival": 0,
    "a position kept across a reconnect": 3,
    "acknowledgements of the run before accepted": 3,
    "the last batches sent again by the next run": 3,
    "a heartbeat that cannot fail": 10,
    "the leader's lock not asked": 0,
    "a drain that only reads no more": 1,
    "a sender that leaves before the last pong": 1,
    "the ledger forgets what was pending": 1,
    "the window not filled at the start": 4,
}


@cache
def clean(seed: int) -> list[str]:
    """What the schedule of `seed` finds in the product as it is."""
    return broken_by(seed, None)


@pytest.mark.planted
@pytest.mark.parametrize("name", SEEDS)
def test_a_planted_defect_is_found(name: str) -> None:
    """In the schedule that found it last, or after a change in one of the first; which finds nothing without it."""
    find = hunt(DEFECTS[name], [SEEDS[name], *range(FIRST)])
    assert find is not None
    assert clean(find.seed) == []


def test_every_defect_has_its_seed() -> None:
    """None is left out, and none stays hidden."""
    assert SEEDS.keys() == DEFECTS.keys()


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_leaves_nothing_behind(name: str) -> None:
    """Everything that it changed is as before."""
    changes = DEFECTS[name].changes
    places = [(change.owner, change.function) for change in changes if not hasattr(change, "table")]  # type: ignore[attr-defined]
    before = [vars(owner)[function] for owner, function in places]
    with DEFECTS[name].planted():
        assert [vars(owner)[function] for owner, function in places] != before or not places
    assert [vars(owner)[function] for owner, function in places] == before


def test_a_defect_that_changes_nothing_is_none() -> None:
    """If the product does not read as the defect expects, it says so instead of planting nothing."""
    defect = Defect("gone", "", (Edit(Ledger, "run_ended", "self._vanished", "pass"),))
    with pytest.raises(LookupError, match="_vanished"), defect.planted():
        pass


def test_two_edits_of_one_function_add_up() -> None:
    """And the function is the product's own in everything else."""
    defect = Defect(
        "twice",
        "",
        (
            Edit(Ledger, "saw", "self._seen += rows", "self._seen += 2 * rows"),
            Edit(Ledger, "saw", "self._pending += rows", "self._pending += 3 * rows"),
        ),
    )
    ledger = Ledger()
    with defect.planted():
        ledger.saw(1)
    ledger.saw(1)
    statistics = ledger.statistics()
    assert (statistics.seen, statistics.pending) == (3, 4)
