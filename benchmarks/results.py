"""What is kept of an invocation: a JSON file with the machine, the versions, and each run's figures.

A `Run` is one case with one system once. Figures are numbers with their unit in the name; None stands for infinite (a
percentile among lost rows). The same case, system and parameters in two files are comparable (`benchmarks.compare`).
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Final

import msgspec

VERSION: Final = 1
DIRECTORY: Final = Path(__file__).parent / "results"

_PACKAGES: Final = ("trio", "trio-websocket", "psycopg", "asyncpg", "psycopg2-binary", "websockets")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement.

    Attributes:
        case: its name.
        system: which; ``none`` where nothing is attached.
        parameters: what else distinguishes it.
        figures: by name; the unit is its end.
        latency_ms: (percent, ms) from when a row was due to its arrival; empty where that is not measured.
    """

    case: str
    system: str
    parameters: dict[str, int | float | str | bool]
    figures: dict[str, float | None]
    latency_ms: list[tuple[float, float | None]] = msgspec.field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two runs comparable."""
        parameters = " ".join(f"{name}={value}" for name, value in sorted(self.parameters.items()))
        return self.case, parameters, self.system


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured.

    Attributes:
        load: average of the last minute before it began: others on the machine.
    """

    cpus: int
    kernel: str
    python: str
    postgres: str
    packages: dict[str, str]
    commit: str
    load: float


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """A file."""

    began: dt.datetime
    machine: Machine
    runs: list[Run]
    version: int = VERSION


def this_machine(postgres: str) -> Machine:
    """The one that runs this, with PostgreSQL `postgres`."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - where git is, is the machine's affair
        check=False,
        capture_output=True,
        text=True,
        cwd=DIRECTORY.parent,
    ).stdout.strip()
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        python=platform.python_version(),
        postgres=postgres,
        packages={name: importlib.metadata.version(name) for name in _PACKAGES},
        commit=commit or "unknown",
        load=round(os.getloadavg()[0], 2),
    )


def save(results: Results, path: Path) -> None:
    """Write `results`, readable and with stable lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def read(path: Path) -> Results:
    """What `save` wrote.

    Raises:
        ValueError: it is of another version, or no results.
    """
    results = msgspec.json.decode(path.read_bytes(), type=Results)
    if results.version != VERSION:
        raise ValueError(f"{path} has version {results.version}, this reads {VERSION}")
    return results
