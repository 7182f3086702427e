"""``python -m tests.load``: the long editions, on a server with fsync on; prints the figures."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import trio

from tests.load import measure
from trio_bridge.demo.postgres import EmbeddedPostgres

SITUATIONS: dict[str, Callable[[str, Path], Awaitable[Any]]] = {
    "live-away": partial(measure.live_server_away, seconds=60, rate=2_000),
    "backlog": partial(measure.backlog, rows=1_000_000),
    "sigterm": partial(measure.restart_under_load, rate=5_000, restarts=5, gap_s=2.0),
    "idle": partial(measure.steady, seconds=20, rate=0),
    **{
        f"rate-1000-history-{rows}": partial(measure.steady, seconds=20, rate=1_000, history_rows=rows)
        for rows in (0, 300, 1_000, 2_000)
    },
}


def main() -> int:
    """Measure the situations named, or all."""
    for name in sys.argv[1:] or SITUATIONS:
        with EmbeddedPostgres(fsync=True) as server, tempfile.TemporaryDirectory() as directory:
            server.create_database("load")
            figures = trio.run(SITUATIONS[name], server.dsn("load"), Path(directory))
        line = str(figures) if not hasattr(figures, "arrivals") else (
            f"{figures.verdict}; {figures.rows_per_s:.0f} rows/s over {figures.seconds:.1f} s, peak RSS "
            f"{figures.peak_rss_kib // 1024} MiB, last tenth took {figures.slowdown:.2f}x the first"
        )  # fmt: skip
        print(f"{name}: {line}", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
