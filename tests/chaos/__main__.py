"""``python -m tests.chaos``: long chaos runs on a server of their own, with fsync on; exit 1 if a row was lost.

``cycles`` kills the bridge again and again under a steady load and counts what comes twice.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog
import trio

from tests.chaos.cycles import run_cycles
from tests.chaos.run import Plan, run_chaos
from tests.chaos.sink import Verdict
from trio_bridge.demo.postgres import EmbeddedPostgres

CYCLES = "cycles"
SCENARIOS = {
    "flip": Plan(60),
    "no-trigger": Plan(30, trigger=False),
    "faults": Plan(60, faults=("terminate_backend", "crash_postgres", "restart_live", "cut_live")),
    "kill": Plan(
        60, faults=("kill_bridge", "terminate_backend", "restart_live", "crash_postgres"), process=True
    ),
}


def main() -> int:
    """Run the scenarios named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, CYCLES, []])
    parser.add_argument("--seconds", type=float, help="of all but cycles")
    parser.add_argument("--cycles", type=int, default=200, help="how often the bridge is killed")
    parser.add_argument("--rate", type=float, default=2000, help="rows a second in cycles")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    failed = False
    for name in options.scenario or [*SCENARIOS, CYCLES]:
        with EmbeddedPostgres(fsync=True) as server, tempfile.TemporaryDirectory() as directory:
            server.create_database("chaos")
            run = _cycles if name == CYCLES else _chaos
            failed |= run(name, options, server, Path(directory))
    return int(failed)


def _chaos(name: str, options: argparse.Namespace, server: EmbeddedPostgres, directory: Path) -> bool:
    """Whether it went wrong."""
    chosen = SCENARIOS[name]
    plan = replace(chosen, seed=options.seed, seconds=options.seconds or chosen.seconds)
    report = trio.run(run_chaos, plan, server, server.dsn("chaos"), directory)
    print(f"{name} (seed {plan.seed}, {plan.seconds:g} s): {report}", flush=True)  # noqa: T201
    return _is_wrong(report.verdict) or bool(report.verdict.duplicates and not plan.faults)


def _cycles(name: str, options: argparse.Namespace, server: EmbeddedPostgres, directory: Path) -> bool:
    """Whether it went wrong."""
    run = partial(run_cycles, kills=options.cycles, rate=options.rate, seed=options.seed)
    report = trio.run(run, server.dsn("chaos"), directory)
    print(f"{name} (seed {options.seed}): {report}", flush=True)  # noqa: T201
    return _is_wrong(report.verdict) or bool(report.again or report.early)


def _is_wrong(verdict: Verdict) -> bool:
    return bool(verdict.lost or verdict.phantoms or verdict.altered)


if __name__ == "__main__":
    sys.exit(main())
