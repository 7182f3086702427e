"""The model of Postgres is Postgres: random histories give the same on both, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from tests.simulation.postgres.against.compare import difference, play
from tests.simulation.postgres.against.model import ModelWorld
from tests.simulation.postgres.against.reader import ROUTE, TABLE
from tests.simulation.postgres.against.real import Facts, RealWorld
from tests.simulation.postgres.against.steps import Step, history
from tests.simulation.postgres.against.wrong import WRONG
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.errors import SourceError
from trio_bridge.postgres import delta as delta_module
from trio_bridge.postgres.install import install

SEEDS = 48
STEPS = 100
PAGE_ROWS = 4
"""So that a delta has several pages."""

Recorded = tuple[list[Step], Facts, list[Any], bool]
"""With or without an index on the time."""


@pytest.fixture(autouse=True, scope="module")
def _small_pages() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delta_module, "PAGE_ROWS", PAGE_ROWS)
        patch.setattr(delta_module, "FIRST_PAGE_ROWS", PAGE_ROWS)
        yield


@pytest.fixture(scope="module")
def record(_small_pages: None) -> Iterator[Callable[[int], Recorded]]:
    """What a seed's history was and showed on a real server, where nobody else draws transaction ids."""
    with EmbeddedPostgres(autovacuum="off") as server:
        install(server.dsn(), TABLE, routes=[ROUTE])

        @cache
        def recorded(seed: int) -> Recorded:
            steps = history(seed, STEPS)
            with RealWorld(server, "postgres", time_index=seed % 2 == 1) as world:
                return steps, world.facts, play(world, steps), seed % 2 == 1

        yield recorded


def _difference(recorded: Recorded) -> str:
    steps, facts, seen, time_index = recorded
    with ModelWorld(facts) as world:
        world.cluster.time_index = time_index
        return difference(steps, seen, play(world, steps))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_same_history(record: Callable[[int], Recorded], seed: int) -> None:
    """Snapshots, deltas, lock answers, checkpoints and bells are the same after every step."""
    assert not _difference(record(seed))


@pytest.mark.parametrize("break_model", WRONG)
def test_a_wrong_model_is_found(
    record: Callable[[int], Recorded], monkeypatch: pytest.MonkeyPatch, break_model: Callable[..., None]
) -> None:
    """One thing that is not as in Postgres, and the histories differ somewhere."""
    break_model(monkeypatch)
    assert any(_finds(record(seed)) for seed in range(SEEDS))


def _finds(recorded: Recorded) -> bool:
    try:
        return _difference(recorded) != ""
    except SourceError:
        # The reader's own checks found it first.
        return True
