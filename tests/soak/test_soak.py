"""Half a minute of a soak: faults of all kinds, short ones, and every promise that can be checked in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak.run import Plan, draw, run_soak
from tests.soak.verdict import checks
from trio_bridge.demo.postgres import EmbeddedPostgres

FAULTS = (
    "mute_live",
    "kill_bridge",
    "crash_postgres",
    "freeze_backend",
    "refuse_checkpoint",
    "restart_bridge",
)


@pytest.mark.fault(124)
@pytest.mark.deadline(150)
async def test_a_short_soak_keeps_every_promise(tmp_path: Path, figures: Callable[..., None]) -> None:
    """Sessions, servers and the bridge's own process are hurt: nothing is lost, and all is as before."""
    plan = Plan(30, seed=3, rate=300, every_s=5, scale=0.1, faults=FAULTS)
    with EmbeddedPostgres(fsync=True) as server:
        server.create_database("soak")
        outcome = await run_soak(plan, server, "soak", tmp_path, tell=print)
    figures(
        duplicates=outcome.verdict.duplicates,
        recovery_s=max(incident.recovered_s or 0.0 for incident in outcome.incidents),
    )
    broken = [check for check in checks(outcome) if check.kept is False]
    assert not broken
    assert {incident.name for incident in outcome.incidents[1:]} == {*FAULTS}
    assert outcome.verdict.committed > 1000, "the writers hardly wrote: this run proves nothing"


def test_each_fault_comes_before_any_comes_again() -> None:
    """A long run meets all of them, in another order each time."""
    names = draw(Plan(1, seed=5, faults=("a", "b", "c")))
    drawn = [next(names) for _ in range(30)]
    rounds = [tuple(drawn[start : start + 3]) for start in range(0, 30, 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len(set(rounds)) > 1
