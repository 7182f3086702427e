"""Child processes and what they cost, read from /proc.

`Child` *owns* a process: leaving its ``with`` block ends it, by SIGTERM and after `STOP_S` by SIGKILL. Processor time
is user and system time of the whole process; memory is what is resident now and its peak (VmHWM).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

STOP_S: Final = 15.0
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident, MiB."""

    now_mib: float
    peak_mib: float


def cpu_s(pid: int) -> float:
    """User and system time of process `pid` so far, seconds."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def tree_cpu_s(root: int) -> float:
    """That of `root`, of its children that live, and of those that have ended and were waited for."""
    total = sum(int(figure) for figure in _stat(root)[11:15]) * _TICK_S
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int(_stat(int(entry.name))[1]) == root:
                    total += cpu_s(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue  # Ended meanwhile; what it used is its parent's now, and counted by the next call.
    return total


def parent(pid: int) -> int:
    """The process that started `pid`."""
    return int(_stat(pid)[1])


def memory(pid: int) -> Memory:
    """Of process `pid`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {
        name: int(text.split()[0])
        for name, _, text in (line.partition(":") for line in lines)
        if "kB" in text
    }
    return Memory(kib["VmRSS"] / 1024, kib["VmHWM"] / 1024)


def _stat(pid: int) -> list[str]:
    # The name may hold anything; what follows its last bracket does not.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


class Child:
    """A process of ours, with its output in a file."""

    def __init__(
        self, argv: Sequence[str], *, log: Path, environment: Mapping[str, str], piped: bool = False
    ) -> None:
        self._log = log
        pipe = subprocess.PIPE if piped else None
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - the arguments are this package's
                argv, stdin=pipe or subprocess.DEVNULL, stdout=pipe or output, stderr=output, env=environment
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    def check(self) -> None:
        """Nothing, if it runs.

        Raises:
            RuntimeError: it has ended; with the end of its log.
        """
        if self.process.poll() is not None:
            tail = self._log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.process.args!r} ended with {self.process.returncode}:\n{tail}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
