"""What a crash may leave: one of the states that the model allows is what a real server comes back with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest

from tests.simulation.postgres import Cluster
from tests.simulation.postgres.against.compare import difference, play
from tests.simulation.postgres.against.model import ModelWorld
from tests.simulation.postgres.against.reader import ROUTE, TABLE
from tests.simulation.postgres.against.real import Facts, RealWorld
from tests.simulation.postgres.against.steps import Step, history
from tests.simulation.postgres.against.wrong import WRONG_AFTER_CRASH
from tests.simulation.postgres.answers import CATALOGUE
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.postgres.install import install

SEEDS = 4
LIVES = 3
STEPS = 60

COLUMNS = tuple(column for column, *_ in CATALOGUE)


class Life(NamedTuple):
    """From a start to a crash: what was done, what was seen, and what was left after recovery."""

    steps: list[Step]
    seen: list[Any]
    left: tuple[Any, ...]


Recorded = tuple[Facts, list[Life]]


@pytest.fixture(scope="module")
def record() -> Iterator[Callable[[int], Recorded]]:
    """The lives of a seed on a real server.

    Nobody but a commit writes its log, and an immediate stop loses what was not written: it need not sync for that.
    """
    with EmbeddedPostgres(autovacuum="off", wal_writer_delay="10s") as server:
        install(server.dsn(), TABLE, routes=[ROUTE])

        @cache
        def recorded(seed: int) -> Recorded:
            lives: list[Life] = []
            facts: Facts | None = None
            for life in range(LIVES):
                steps = history(100 * seed + life, STEPS, asynchronous=0.1)
                # Whether the trigger is on would have to survive the crash too.
                steps = [step for step in steps if step.act != "trigger"]
                with RealWorld(server, "postgres", fresh=life == 0) as world:
                    facts = facts or world.facts
                    seen = play(world, steps)
                    server.restart("immediate")
                lives.append(Life(steps, seen, _left(server)))
            assert facts is not None
            return facts, lives

        yield recorded


def _left(server: EmbeddedPostgres) -> tuple[Any, ...]:
    """Next id, sequence, rows and checkpoint."""
    with server.connect() as connection:
        counters = connection.execute(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8, "
            "(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM live_metrics_id_seq)"
        ).fetchone()
        rows = connection.execute(
            "SELECT row_to_json(t)::text FROM live_metrics t ORDER BY t.txid, t.id"
        ).fetchall()
        checkpoint = connection.execute(
            "SELECT epoch, snapshot::text, target::text, after_txid::text::int8, after_key "
            "FROM trio_bridge.checkpoint"
        ).fetchone()
    return counters, [text for (text,) in rows], checkpoint


def _may_be_left(cluster: Cluster, keep: int) -> tuple[Any, ...]:
    state = cluster.wal.state(keep)
    found = state.checkpoints[ROUTE]
    key = None if found.after_key is None else list(found.after_key)
    rows = sorted(state.rows, key=lambda row: (row.txid, row.id))
    return (
        (state.next_xid, state.sequence),
        [row.text(COLUMNS).decode() for row in rows],
        (found.epoch, found.snapshot, found.target, found.after_txid, key),
    )


def _problem(recorded: Recorded) -> str:
    """Where the model cannot follow; empty: nowhere."""
    facts, lives = recorded
    cluster: Cluster | None = None
    for number, life in enumerate(lives):
        with ModelWorld(facts, cluster) as world:
            if found := difference(life.steps, life.seen, play(world, life.steps)):
                return f"life {number}, {found}"
            cluster = world.cluster
        low, high = cluster.crash_range
        allowed = [keep for keep in range(low, high + 1) if _may_be_left(cluster, keep) == life.left]
        if not allowed:
            return f"life {number}: no prefix of {low} to {high} records leaves {life.left}"
        cluster.crash(allowed[0])
        cluster.start()
        cluster.synchronous_commit = True
    return ""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_a_crash_leaves(record: Callable[[int], Recorded], seed: int) -> None:
    """After each crash the server shows a state of the model's range, and history goes on from there on both."""
    assert not _problem(record(seed))


@pytest.mark.parametrize("break_model", WRONG_AFTER_CRASH)
def test_a_wrong_recovery_is_found(
    record: Callable[[int], Recorded], monkeypatch: pytest.MonkeyPatch, break_model: Callable[..., None]
) -> None:
    """One thing that a crash does not do to Postgres, and no prefix fits any more."""
    break_model(monkeypatch)
    assert any(_problem(record(seed)) for seed in range(SEEDS))
