"""The index on (txid, primary key) of a table: which there are, which must be made, under which name.

An index is known by what it covers, never by its name: a name may belong to something else, and two long names may be
the same once Postgres has cut them. On a partitioned table each partition gets its index concurrently, then they come
under those of their parents, the deepest first. What an interrupted run left invalid is dropped and made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from trio_bridge.config.names import MAX_NAME_BYTES, TableName
from trio_bridge.postgres.queries import compose, load, raw
from trio_bridge.postgres.step import Step


@dataclass(frozen=True, slots=True)
class _Part:
    """The table itself or a partition of it, at any depth."""

    oid: int | None
    name: TableName
    kind: str
    parent: int | None


@dataclass(frozen=True, slots=True)
class _Index:
    """One that covers what ours covers."""

    part: int
    name: TableName
    valid: bool
    parent: int | None
    oid: int


def index_steps(
    connection: psycopg.Connection, table: TableName, oid: int | None, key: Sequence[str]
) -> list[Step]:
    """The steps that are still to do.

    Args:
        connection: to look.
        table: ordinary or partitioned.
        oid: None: the table will be made by an earlier step.
        key: names of its primary key's columns.
    """
    if oid is None:
        parts, indexes = [_Part(None, table, "r", None)], []
    else:
        parts = [
            _Part(part, TableName(schema, name), kind, parent)
            for part, schema, name, kind, parent in _rows(connection, "install_parts", oid=oid)
        ]
        indexes = [
            _Index(part, TableName(schema, name), valid, parent, index)
            for part, schema, name, valid, parent, index in _rows(
                connection, "install_indexes", parts=[part.oid for part in parts], columns=["txid", *key]
            )
        ]
    names = _Names(connection, {part.name.schema for part in parts})
    chosen: dict[int | None, TableName] = {}
    attached: set[int | None] = set()
    steps: list[Step] = []
    key_sql = sql.SQL(", ").join(map(sql.Identifier, key))
    for part in parts:
        own = [index for index in indexes if index.part == part.oid]
        # An index of a partitioned table is invalid until all below it are there: no ruin, but work to go on with.
        usable = [index for index in own if index.valid or part.kind == "p"]
        if usable:
            # One that is under an index of the parent already cannot be replaced there by another.
            best = max(usable, key=lambda index: index.parent is not None)
            chosen[part.oid] = best.name
            if best.parent is not None:
                attached.add(part.oid)
            continue
        for ruin in own:
            names.free(ruin.name)
            drop = compose("index_drop", index=_identifier(ruin.name))
            steps.append(Step(f"drop the unfinished index {ruin.name}", drop, transaction=False))
        chosen[part.oid] = name = names.take(part.name)
        text = compose(
            "index_parent" if part.kind == "p" else "index",
            index=sql.Identifier(name.name),
            table=_identifier(part.name),
            key=key_sql,
        )
        steps.append(Step(f"index of {part.name}", text, transaction=part.kind == "p"))
    for part in parts:
        if part.parent is not None and part.parent in chosen and part.oid not in attached:
            attach = compose(
                "index_attach",
                parent_index=_identifier(chosen[part.parent]),
                index=_identifier(chosen[part.oid]),
            )
            steps.append(Step(f"attach the index of {part.name}", attach))
    return steps


class _Names:
    """Names for new indexes that nothing else has."""

    def __init__(self, connection: psycopg.Connection, schemas: set[str]) -> None:
        found = connection.execute(
            "SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = ANY(%s) AND c.relname LIKE '%%txid\\_idx%%'",
            (sorted(schemas),),
        )
        self._taken = {TableName(schema, name) for schema, name in found}

    def free(self, name: TableName) -> None:
        self._taken.discard(name)

    def take(self, table: TableName) -> TableName:
        """An index lives in its table's schema; the table's name is cut, as Postgres does it, never the ending."""
        number = 0
        while True:
            ending = f"_txid_idx{number or ''}"
            head = table.name.encode()[: MAX_NAME_BYTES - len(ending)].decode("utf-8", "ignore")
            name = TableName(table.schema, head + ending)
            if name not in self._taken:
                self._taken.add(name)
                return name
            number += 1


def _rows(connection: psycopg.Connection, file: str, **params: Any) -> list[tuple[Any, ...]]:
    return connection.execute(raw(load(f"queries/{file}")), params).fetchall()


def _identifier(name: TableName) -> sql.Identifier:
    return sql.Identifier(name.schema, name.name)
