"""A hot standby of a running server, streaming and asynchronous: ``pg_basebackup -R`` beside the server's own programs.

`Standby` is an `EmbeddedPostgres` whose cluster is a copy of its primary's instead of a new one; `promote` makes it a
primary of the next timeline. *Owns* its directory and server as any of them.
"""

from __future__ import annotations

import subprocess

from tests.waiting import wait_until
from trio_bridge.demo.postgres import EmbeddedPostgres

CAUGHT_UP = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"


class Standby(EmbeddedPostgres):
    """See the module.

    Args:
        primary: running; trusts every user of this machine.
    """

    def __init__(self, primary: EmbeddedPostgres) -> None:
        super().__init__()
        self._primary = primary

    def promote(self) -> None:
        """Ends recovery; returns when it can be written to."""
        with self.connect() as connection:
            assert connection.execute("SELECT pg_promote()").fetchone() == (True,)

    async def wait_caught_up(self) -> None:
        """Until it has replayed all that its primary has written."""
        with self._primary.connect() as primary, self.connect() as connection:
            flushed = primary.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
            await wait_until(lambda: connection.execute(CAUGHT_UP, flushed).fetchone() == (True,))

    def _initdb(self) -> None:
        subprocess.run(
            self.binaries.command(
                "pg_basebackup",
                f"--pgdata={self._watch.data}",
                f"--dbname={self._primary.dsn()}",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ),
            check=True,
            capture_output=True,
            cwd=self.directory,
        )


def senders(primary: EmbeddedPostgres) -> list[int]:
    """Process ids of those who send to standbys; stopped, what the primary commits goes nowhere."""
    with primary.connect() as connection:
        return [pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_replication")]
