"""``python -m tests.soak --minutes 60``: a long soak on a server of its own, with fsync on; exit 1 if a promise broke.

With ``--no-kill`` the bridge's own process is never ended, so that one process lives through the whole run: that is the
run whose memory tells something.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import tempfile
from pathlib import Path

import trio
from rich.console import Console

from tests.soak.run import Plan, run_soak
from tests.soak.verdict import as_json, checks, draw
from trio_bridge.demo.postgres import EmbeddedPostgres


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=500, help="rows a second")
    parser.add_argument("--every", type=float, default=60, help="seconds from one fault to the next")
    parser.add_argument("--no-kill", action="store_true", help="one process lives through all of it")
    parser.add_argument("--json", type=Path, default=Path("soak.json"), help="where to write everything")
    options = parser.parse_args()
    plan = Plan(
        options.minutes * 60, options.seed, options.rate, every_s=options.every, kills=not options.no_kill
    )
    with EmbeddedPostgres(fsync=True) as server, tempfile.TemporaryDirectory() as directory:
        server.create_database("soak")
        tell = functools.partial(print, flush=True)
        outcome = trio.run(functools.partial(run_soak, plan, server, "soak", Path(directory), tell=tell))
    options.json.write_text(json.dumps(as_json(outcome), default=str) + "\n")
    draw(outcome, Console(width=140))
    return int(any(check.kept is False for check in checks(outcome)))


if __name__ == "__main__":
    sys.exit(main())
