"""The systems under test: for each how its database is prepared and which process is run; nothing runs here.

Ours are three settings of one program. A peer's database has the original design's trigger, which carries the row as
the payload (sql/payload_trigger.sql); the poller's has none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

import trio_bridge
from trio_bridge.config.names import parse_table
from trio_bridge.postgres.install import install

TABLE: Final = "public.live_metrics"

_SQL = Path(trio_bridge.__file__).parent / "sql"
_PEERS = Path(__file__).parent / "peers"
_NODE = _PEERS / "node"
_FLOOR = _PEERS / "build" / "floor"
# What a system needs that is no Python package.
_TOOLS: Final = {"pg-listen": ("node", "npm"), "floor-c": ("cc", "pg_config")}


@dataclass(frozen=True, slots=True)
class System:
    """One way to get rows into Grafana.

    Attributes:
        name: as the command line and the results call it.
        prepare: makes the database at a DSN ready for it; the table is there.
        argv: runs it.
        environment: what it needs beside ``DSN``, ``PUSH_URL``, ``TOKEN``.
        ours: whether it is ours; else a peer.
        keeps_rows: whether rows written before it starts are delivered.
    """

    name: str
    prepare: Callable[[str], None]
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False
    keeps_rows: bool = False

    def full_environment(self, dsn: str, url: str) -> dict[str, str]:
        """That of its process, which pushes to the sink at `url` (http)."""
        clean = {name: text for name, text in os.environ.items() if not name.startswith("TRIO_BRIDGE_")}
        token = "benchmark"  # noqa: S105 - the sink asks nobody for anything
        if self.ours:
            return clean | {
                "TRIO_BRIDGE_POSTGRES_DSN": dsn,
                "TRIO_BRIDGE_GRAFANA_URL": url,
                "TRIO_BRIDGE_GRAFANA_TOKEN": token,
                "TRIO_BRIDGE_FIELDS": "value",
                # As in the defaults, metrics are served, but on a port that is free.
                "TRIO_BRIDGE_HTTP_LISTEN": "127.0.0.1:0",
                **self.environment,
            }
        return clean | {
            "DSN": _uri(dsn),
            "PUSH_URL": f"{url.replace('http', 'ws', 1)}/api/live/push/pg",
            "TOKEN": token,
            **self.environment,
        }


def create_table(dsn: str) -> None:
    """The table of all systems."""
    _execute(dsn, "live_metrics.sql")


def _uri(dsn: str) -> str:
    """The only form of a connection string that asyncpg knows."""
    return "postgresql://{user}@{host}:{port}/{dbname}".format_map(conninfo_to_dict(dsn))


def _execute(dsn: str, name: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute((_SQL / name).read_bytes())


def _bell(dsn: str) -> None:
    install(dsn, parse_table(TABLE), routes=[TABLE])


def _payloads(dsn: str) -> None:
    _execute(dsn, "payload_trigger.sql")


def _nothing(dsn: str) -> None:
    del dsn


def _node_payloads(dsn: str) -> None:
    if not (_NODE / "node_modules").is_dir():
        _tool(
            "npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", folder=_NODE
        )
    _payloads(dsn)


def _compiled_payloads(dsn: str) -> None:
    if not _FLOOR.is_file():
        _FLOOR.parent.mkdir(exist_ok=True)
        include = _tool("pg_config", "--includedir").strip()
        _tool("cc", "-O2", f"-I{include}", "floor.c", "-lpq", "-o", str(_FLOOR))
    _payloads(dsn)


def _tool(name: str, *arguments: str, folder: Path = _PEERS) -> str:
    """What a tool of this machine prints."""
    command = [shutil.which(name) or name, *arguments]
    done = subprocess.run(  # noqa: S603 - the arguments are this module's
        command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _ours(name: str, **settings: str) -> System:
    table = "channel" not in settings
    route = {"TRIO_BRIDGE_TABLE": TABLE} if table else {}
    environment = route | {f"TRIO_BRIDGE_{key.upper()}": text for key, text in settings.items()}
    argv = (sys.executable, "-m", "trio_bridge", "run")
    return System(name, _bell if table else _payloads, argv, environment, ours=True, keeps_rows=table)


def missing(name: str) -> str:
    """What this machine lacks to run the system `name`; empty: nothing."""
    return ", ".join(tool for tool in _TOOLS.get(name, ()) if shutil.which(tool) is None)


def _peer(
    name: str, script: str, prepare: Callable[[str], None] = _payloads, *, keeps_rows: bool = False
) -> System:
    return System(name, prepare, (sys.executable, str(_PEERS / script)), keeps_rows=keeps_rows)


SYSTEMS: Final = {
    system.name: system
    for system in (
        _ours("ours"),
        _ours("ours-pace0", grafana_message_interval_ms="0"),
        _ours(
            "ours-channel", channel="influx_feed", measurement="live_metrics", grafana_message_interval_ms="0"
        ),
        _peer("asyncpg", "asyncpg_each.py"),
        _peer("asyncpg-joined", "asyncpg_joined.py"),
        _peer("psycopg", "psycopg_notifies.py"),
        _peer("original", "original_design.py"),
        _peer("poller", "interval_poller.py", _nothing, keeps_rows=True),
        System("pg-listen", _node_payloads, ("node", str(_NODE / "pg_listen.js"))),
        _peer("floor", "floor.py"),
        System("floor-c", _compiled_payloads, (str(_FLOOR),)),
    )
}
"""By name; the poller is late by design, and the floor is nothing that a user would run."""

BASELINES: Final = ("asyncpg", "asyncpg-joined", "psycopg", "original", "pg-listen", "poller")
"""The peers: the best of those that were measured is what ours is held against."""
