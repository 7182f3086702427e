"""A temporary directory, and the server in it, that do not outlive this process, however it ends.

`Deathwatch` owns the directory and a small shell, the watchdog, which reads a pipe whose other end only this
process holds. End of file means that we are gone, be it by ``kill -9``; the watchdog then kills the server
whose working directory is here, and removes everything. `release` is the same end on purpose.

A parent-death signal would not do: it follows the *thread* that forked, and entering a user namespace clears
it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

# $1: the temporary directory, $2: the server's working directory in it. Who works there is the server,
# whatever number an old file may tell.
_WATCHDOG = """
trap '' INT TERM HUP
read -r _
pid=$(head -n 1 "$2/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$2" ]; then
    kill -QUIT "$pid"
    while [ "$(readlink "/proc/$pid/cwd")" = "$2" ]; do sleep 0.05; done
fi
rm -rf "$1"
"""


class Deathwatch:
    """Guards one server.

    Attributes:
        directory: made anew, for its owner only.
        data: in it: the server's data and working directory; not made yet.
    """

    def __init__(self) -> None:
        # Resolved, because it is compared with what the kernel says.
        self.directory = Path(tempfile.mkdtemp(prefix="trio-bridge-pg-")).resolve()
        self.data = self.directory / "data"
        try:
            self._watchdog = subprocess.Popen(
                ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(self.directory), str(self.data)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C in the terminal is not for it.
                start_new_session=True,
                cwd="/",
            )
        except BaseException:
            shutil.rmtree(self.directory)
            raise

    def release(self) -> None:
        """Ends the server if it still runs, removes the directory, and waits for both; may be called twice."""
        self._watchdog.communicate()

    def kill_all(self) -> None:
        """Kills every process of the server, and waits until none is left."""
        while pids := _processes_in(self.data):
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.005)


def _processes_in(directory: Path) -> list[int]:
    """The processes whose working directory this is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == directory:
                    found.append(int(entry.name))
            except OSError:
                continue  # it has ended, or is somebody else's
    return found
