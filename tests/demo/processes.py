"""Looks for the processes that work for a server: by their command lines, not by their directory."""

from __future__ import annotations

import os
from pathlib import Path


def processes_of(directory: Path) -> list[int]:
    """Processes whose command line names the directory: the server and its watchdog."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(directory) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended meanwhile
    return found
