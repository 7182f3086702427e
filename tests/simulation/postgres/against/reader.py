"""What a reader does, with the bridge's own code on any session, real or model; each act returns what it has seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg import sql

from trio_bridge.config.names import TableName
from trio_bridge.postgres.catalogue import gate_holder, read_cluster, read_table
from trio_bridge.postgres.checkpoint import Checkpoint, Fenced
from trio_bridge.postgres.delta import DeltaReader
from trio_bridge.postgres.history import read_history
from trio_bridge.postgres.position import Position, Snapshot
from trio_bridge.postgres.queries import GATE_CLASS, LEADER_CLASS, compose, statement, without_comments
from trio_bridge.postgres.session import Session, StatementRefused

TABLE = TableName("public", "live_metrics")
ROUTE = "r"
ANSWER_S = 10.0

_GATE = {"gate_class": sql.Literal(GATE_CLASS)}
_TAKE_GATE = without_comments(compose("queries/gate_take", **_GATE))
_HOLDER = without_comments(compose("queries/gate_holder", **_GATE))


class Reader:
    """One bridge.

    Args:
        open_session: a new session.
        who: names the session of a process id.
    """

    def __init__(self, open_session: Callable[[], Session], who: Callable[[int], str]) -> None:
        self._open_session = open_session
        self._who = who
        self.session = open_session()
        self._begin()

    def _begin(self) -> None:
        self._cluster = read_cluster(self.session, timeout_s=ANSWER_S)
        self._watched = read_table(self.session, TABLE, timeout_s=ANSWER_S)
        self._columns = [column.name for column in self._watched.shape.columns if column.name != "txid"]
        self._reader = DeltaReader(TABLE, self._watched.key, self._columns)
        for span, text in self._reader.statements.items():
            self.session.prepare(span.value, text, timeout_s=ANSWER_S)
        self._position = Position(Snapshot(3, 3))
        self._checkpoint: Checkpoint | None = None

    def bells(self) -> list[tuple[str, bytes]]:
        """Those that have been sent before now."""
        self._query("SELECT 1")
        return [(bell.channel, bell.payload) for bell in self.session.notifications()]

    def page(self) -> Any:
        span = self._position.span
        try:
            results = self.session.run(span.value, self._reader.params(self._position), timeout_s=ANSWER_S)
            delta = self._reader.read(self._position, results)
        except StatementRefused as error:
            return str(error)
        self._position = delta.position
        return span, delta.rows, delta.keys, delta.position, delta.more, delta.horizon

    def take_gate(self) -> Any:
        return self._query(_TAKE_GATE, str(self._watched.oid))

    def free_gate(self) -> Any:
        return self._query(f"SELECT pg_advisory_unlock({GATE_CLASS}, {self._watched.oid}::oid::int4)")

    def holder(self) -> Any:
        pids = gate_holder(self.session, self._watched.oid, _HOLDER, timeout_s=ANSWER_S)
        return sorted(self._who(int(pid)) for pid in pids.split(", ")) if pids != "none" else pids

    def listen(self) -> Any:
        return self._query("LISTEN influx_feed")

    def unlisten(self) -> Any:
        return self._query("UNLISTEN *")

    def leader(self) -> Any:
        return self._query(f"SELECT pg_try_advisory_lock({LEADER_CLASS}, -17)")

    def take_over(self) -> Any:
        self._checkpoint, self._position = Checkpoint.take_over(
            self.session, ROUTE, self._cluster, timeout_s=ANSWER_S
        )
        return self._checkpoint.epoch, self._position

    def write(self) -> Any:
        if self._checkpoint is None:
            return None
        try:
            return self._checkpoint.write(self.session, self._position, timeout_s=ANSWER_S)
        except Fenced as error:
            return str(error)

    def probe(self) -> Any:
        # How full the queue is depends on pages that the server frees when it likes.
        return [row[1:] for row in self._query(statement("queries/probe"), "influx_feed")]

    def next_xid(self) -> Any:
        return self._query(statement("queries/next_xid"))

    def history(self) -> Any:
        return read_history(
            self.session,
            TABLE,
            self._watched,
            columns=self._columns,
            time="timestamp",
            position=self._position,
            limit=7,
            timeout_s=ANSWER_S,
        )

    def look(self) -> Any:
        return (
            read_cluster(self.session, timeout_s=ANSWER_S),
            read_table(self.session, TABLE, timeout_s=ANSWER_S),
        )

    def refused(self) -> Any:
        """What a run that goes on, and one that begins, gets while a stranger has the table."""
        return self.page(), self._first_refusal(), self.history()

    def _first_refusal(self) -> str:
        try:
            self.look()
        except StatementRefused as error:
            return str(error)
        return ""

    def reopen(self) -> None:
        self.session.close()
        self.session = self._open_session()
        self._begin()

    def _query(self, text: str, *params: str) -> Any:
        return self.session.query(text, params, timeout_s=ANSWER_S)
