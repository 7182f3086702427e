"""Which statement a text is: found by building again, with the bridge's own code, what it would send.

A text that the bridge's code does not make is an AssertionError that shows it: the model answers nothing by halves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from psycopg import sql

from tests.simulation.postgres.answers import Answers, Handler
from tests.simulation.postgres.cluster import Cluster
from trio_bridge.config.names import TableName
from trio_bridge.decoder.mapping import TableShape
from trio_bridge.listener.table_source import BELL_CHANNEL
from trio_bridge.postgres.catalogue import WatchedTable
from trio_bridge.postgres.delta import DeltaReader, Key
from trio_bridge.postgres.history import HISTORY_LIMIT_MS, _statement
from trio_bridge.postgres.position import Position, RowMark, Snapshot
from trio_bridge.postgres.queries import GATE_CLASS, LEADER_CLASS, compose, statement, without_comments

TABLE = TableName("public", "live_metrics")
KEY = Key(("id",), ("bigint",))
TIME = ("timestamp",)

_COLUMNS = re.compile(r'\(SELECT ((?:"\w+"(?:, )?)+) FROM "public"\."live_metrics"\)')
_LEADER = re.compile(rf"SELECT pg_try_advisory_lock\({LEADER_CLASS}, (-?\d+)\)")
_DELIVERED = Snapshot(3, 3)
_POSITIONS = (Position(_DELIVERED), Position(_DELIVERED, _DELIVERED, RowMark(3, ("1",))))


class Plan(NamedTuple):
    """What a statement does, and whether it takes a lock on the table."""

    handler: Handler
    locks_table: bool = False


class Statements:
    """Those of the bridge, for one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        answers = self._answers = Answers(cluster)
        gate = {"gate_class": sql.Literal(GATE_CLASS)}
        fixed: dict[str, Handler] = {
            "SELECT 1": answers.one,
            "UNLISTEN *": answers.unlisten,
            f"LISTEN {BELL_CHANNEL}": answers.listen(BELL_CHANNEL),
            f"LISTEN {sql.Identifier(BELL_CHANNEL).as_string()}": answers.listen(BELL_CHANNEL),
            f"SET statement_timeout = {HISTORY_LIMIT_MS}": answers.nothing,
            "SET statement_timeout = 0": answers.nothing,
            f"SELECT pg_advisory_unlock({GATE_CLASS}, {cluster.oid}::oid::int4)": answers.gate_free,
            without_comments(compose("queries/gate_take", **gate)): answers.gate_take,
            without_comments(compose("queries/gate_holder", **gate)): answers.gate_holder,
            statement("queries/cluster"): answers.cluster,
            statement("queries/version"): answers.version,
            statement("queries/catalogue"): answers.catalogue,
            statement("queries/time_index"): answers.time_index,
            statement("queries/checkpoint_read"): answers.checkpoint_read,
            statement("queries/checkpoint_write"): answers.checkpoint_write,
            statement("queries/next_xid"): answers.next_xid,
            statement("queries/probe"): answers.probe,
            # No leader is frozen here.
            statement("queries/frozen_leader", leader_class=sql.Literal(LEADER_CLASS)): answers.nothing,
        }
        self._plans = {text: Plan(handler) for text, handler in fixed.items()}
        # pg_get_expr of the index' condition opens the table.
        self._plans[statement("queries/table")] = Plan(answers.look, locks_table=True)
        self._oid = cluster.oid

    def find(self, text: str) -> Plan:
        """The plan of a text."""
        plan = self._plans.get(text)
        if plan is None:
            if found := _LEADER.fullmatch(text):
                self._plans[text] = Plan(self._answers.try_lock((LEADER_CLASS, int(found[1]))))
            elif found := _COLUMNS.search(text):
                self._plans.update(self._reads(tuple(re.findall(r'"(\w+)"', found[1]))))
            assert text in self._plans, f"the model does not know this statement:\n{text}"
            plan = self._plans[text]
        return plan

    def _reads(self, columns: tuple[str, ...]) -> Iterator[tuple[str, Plan]]:
        """All statements that read these columns of the table."""
        # `row_source` puts the position and the key first.
        others = tuple(name for name in columns if name not in ("txid", *KEY.columns))
        for span, text in DeltaReader(TABLE, KEY, others).statements.items():
            yield text, Plan(self._answers.delta(span, columns), locks_table=True)
        watched = WatchedTable(self._oid, TableShape("", (), ()), KEY, rings=True, indexed=True)
        for position, order in product(_POSITIONS, (KEY.columns, TIME)):
            text, _ = _statement(TABLE, watched, others, order, position)
            handler = self._answers.history(
                columns, by_time=order is TIME, inside_delta=position.target is not None
            )
            yield text, Plan(handler, locks_table=True)
