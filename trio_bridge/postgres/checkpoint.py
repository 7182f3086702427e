"""The checkpoint of a route: one row in the watched table's own database.

Read when a run of the route starts (which begins a new epoch and so fences off whoever led before), written by the
listener after acknowledgement. It belongs to one cluster: transaction ids of another mean nothing here.
"""

from __future__ import annotations

import json
from typing import Final

from trio_bridge.errors import ConfigError, SourceError
from trio_bridge.postgres.catalogue import Cluster
from trio_bridge.postgres.position import Position, RowMark, Snapshot
from trio_bridge.postgres.queries import statement
from trio_bridge.postgres.session import Session, StatementRefused

FORMAT = 1
"""Version of the row's meaning."""

_OTHER_COLUMNS: Final = ("42703", "42883")
"""What Postgres says of a column that is not there (undefined_column) or of another type (undefined_function)."""


class Fenced(SourceError):
    """Another bridge has taken the route over; this run must end without another word."""


class Checkpoint:
    """One route's row, under the epoch that this run began."""

    def __init__(self, name: str, epoch: str) -> None:
        self._name = name
        self.epoch = epoch

    @classmethod
    def take_over(
        cls, session: Session, name: str, cluster: Cluster, *, timeout_s: float
    ) -> tuple[Checkpoint, Position]:
        """Begin an epoch and return where the route stands.

        Raises:
            ConfigError: there is no such row, it is of another cluster, or of a format that we do not know.
            StatementRefused: Postgres would not let us write it.
        """
        try:
            found = session.query(statement("queries/checkpoint_read"), (name,), timeout_s=timeout_s)
        except StatementRefused as error:
            if error.sqlstate not in _OTHER_COLUMNS:
                raise
            raise ConfigError(
                f"trio_bridge.checkpoint is not as `trio-bridge install` makes it ({error}): put it right, or drop it "
                "and run `trio-bridge install` for each table, with `--start now` or `--start earliest`"
            ) from None
        if not found:
            raise ConfigError(
                f"route {name!r} has no checkpoint in this database: run `trio-bridge install` for its table"
            )
        epoch, snapshot, target, after_txid, after_key, identifier, version = found[0]
        if version != str(FORMAT):
            raise ConfigError(
                f"the checkpoint of route {name!r} is of format {version}, this program knows {FORMAT}: upgrade it"
            )
        if identifier != str(cluster.system_identifier):
            raise ConfigError(
                f"the checkpoint of route {name!r} was written in another cluster (system identifier "
                f"{identifier}, here {cluster.system_identifier}): its transaction ids mean nothing here. "
                f"Delete the row from trio_bridge.checkpoint and run `trio-bridge install --start now` or "
                f"`--start earliest`. Only after pg_upgrade, which keeps the ids: UPDATE trio_bridge.checkpoint SET "
                f"system_identifier = {cluster.system_identifier}"
            )
        assert snapshot is not None
        assert epoch is not None
        seen = Snapshot.parse(snapshot)
        # Asked now, not at login: a standby has waited for days, and whoever led has gone on meanwhile.
        ((next_xid,),) = session.query(statement("queries/next_xid"), timeout_s=timeout_s)
        assert next_xid is not None
        goal = seen if target is None else Snapshot.parse(target)
        if max(seen.xmax, goal.xmax) > int(next_xid):
            raise ConfigError(
                f"the checkpoint of route {name!r} lies in the future of this cluster (transaction "
                f"{max(seen.xmax, goal.xmax)}, next is {next_xid}): it was changed by hand or restored from elsewhere"
            )
        if target is None or after_txid is None or after_key is None:
            return cls(name, epoch), Position(seen)
        after = RowMark(int(after_txid), tuple(json.loads(after_key)))
        if seen.sees(after.txid) or not goal.sees(after.txid):
            raise ConfigError(
                f"the checkpoint of route {name!r} contradicts itself: transaction {after.txid} is not between its "
                "two snapshots. It was changed by hand"
            )
        return cls(name, epoch), Position(seen, goal, after)

    def write(self, session: Session, position: Position, *, timeout_s: float) -> None:
        """Everything up to `position` is acknowledged.

        Raises:
            Fenced: another run has begun a newer epoch.
            StatementRefused: Postgres would not (read only, locked, disk full); delivery may go on.
        """
        after = position.after
        params = (
            self._name,
            self.epoch,
            str(position.snapshot),
            None if position.target is None else str(position.target),
            None if after is None else str(after.txid),
            None if after is None else _array(after.key),
        )
        if not session.query(statement("queries/checkpoint_write"), params, timeout_s=timeout_s):
            raise Fenced(f"another bridge has taken route {self._name!r} over")


def _array(texts: tuple[str, ...]) -> str:
    """A ``text[]`` literal."""
    quoted = ('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)
    return "{" + ",".join(quoted) + "}"
