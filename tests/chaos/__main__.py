"""``python -m tests.chaos``: long chaos runs on a server of their own, with fsync on; exit 1 if a row was lost."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import structlog
import trio

from tests.chaos.run import Plan, run_chaos
from trio_bridge.demo.postgres import EmbeddedPostgres

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
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []])
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    lost = False
    for name in options.scenario or SCENARIOS:
        chosen = SCENARIOS[name]
        plan = Plan(
            **{field: getattr(chosen, field) for field in chosen.__slots__}
            | {"seed": options.seed, "seconds": options.seconds or chosen.seconds}
        )
        with EmbeddedPostgres(fsync=True) as server, tempfile.TemporaryDirectory() as directory:
            server.create_database("chaos")
            report = trio.run(run_chaos, plan, server, server.dsn("chaos"), Path(directory))
        print(f"{name} (seed {plan.seed}, {plan.seconds:g} s): {report}", flush=True)  # noqa: T201
        verdict = report.verdict
        lost |= bool(verdict.lost or verdict.phantoms or verdict.altered)
        lost |= bool(verdict.duplicates and not plan.faults)
    return int(lost)


if __name__ == "__main__":
    sys.exit(main())
