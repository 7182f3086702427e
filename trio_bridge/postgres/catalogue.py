"""What Postgres says of itself and of one table; each thing that would keep rows from flowing is an error here.

Read once per connection, before anything is delivered. A `ConfigError` names the command that mends it.
"""

from __future__ import annotations

from dataclasses import dataclass

from trio_bridge.config.names import TableName
from trio_bridge.decoder.mapping import Column, TableShape
from trio_bridge.errors import ConfigError, SourceError
from trio_bridge.postgres.delta import Key
from trio_bridge.postgres.queries import SCHEMA_VERSION, statement
from trio_bridge.postgres.session import Session, StatementRefused

_RELATION_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """The server behind a session.

    Attributes:
        system_identifier: of the cluster whose transaction ids we read.
        prepares: whether writers may use ``PREPARE TRANSACTION``, which a NOTIFY would make fail.
        timeline: grows by one when a standby is promoted.
    """

    system_identifier: int
    prepares: bool
    timeline: int


@dataclass(frozen=True, slots=True)
class WatchedTable:
    """A table that is fit to be read.

    Attributes:
        oid: also the second key of its gate.
        shape: for the mapping.
        key: for the delta.
        rings: whether its trigger is there and enabled.
        indexed: whether an index on txid and key is there; without it every delta reads the whole table.
    """

    oid: int
    shape: TableShape
    key: Key
    rings: bool
    indexed: bool


def read_cluster(session: Session, *, timeout_s: float) -> Cluster:
    """Look at the server.

    Raises:
        ConfigError: the bridge is not installed in this database, or in another version.
        SourceError: it is a standby.
    """
    ((identifier, standby, prepared, installed, writable, timeline),) = session.query(
        statement("queries/cluster"), timeout_s=timeout_s
    )
    if standby == "t":
        raise SourceError(
            "this server is a hot standby, where LISTEN does not work: "
            "point the DSN at the primary (target_session_attrs=read-write)"
        )
    if installed != "t":
        raise ConfigError(
            "this database has no schema trio_bridge, or this role may not use it: run `trio-bridge install`"
        )
    ((version,),) = session.query(statement("queries/version"), timeout_s=timeout_s)
    if version != str(SCHEMA_VERSION):
        raise ConfigError(
            f"the schema trio_bridge in this database is of version {version}, this program knows "
            f"{SCHEMA_VERSION}: use the same version of trio_bridge everywhere and run its `trio-bridge install`"
        )
    if writable != "t":
        raise ConfigError(
            "this role may not write trio_bridge.checkpoint: run `trio-bridge install --role` with its name"
        )
    return Cluster(int(identifier or 0), prepared != "0", int(timeline or 0))


def read_table(session: Session, table: TableName, *, timeout_s: float) -> WatchedTable:
    """Look at the table.

    Raises:
        ConfigError: it is not there, not ours to read, hidden by row-level security, or not installed.
    """
    install = f"run `trio-bridge install --table '{table}'`"
    found = session.query(statement("queries/table"), (table.schema, table.name), timeout_s=timeout_s)
    if not found:
        raise ConfigError(f"there is no table {table} in this database: correct `table`, or {install}")
    oid, kind, readable, hidden, indexed, rings = found[0]
    if kind == "parent":
        raise ConfigError(with_children(table))
    if kind not in ("r", "p"):
        raise ConfigError(
            f"{table} is {_RELATION_KINDS.get(kind or '', 'no table')}: only tables can be watched"
        )
    if readable != "t":
        raise ConfigError(
            f"this role may not read {table}, it needs SELECT on the table and USAGE on its schema: "
            f"run `trio-bridge install --table '{table}' --role` with its name"
        )
    if hidden == "t":
        raise ConfigError(
            f"row-level security of {table} would hide rows from this role: "
            "give the bridge's role BYPASSRLS or let it use another role"
        )
    columns = session.query(statement("queries/catalogue"), (oid,), timeout_s=timeout_s)
    shape_columns: list[Column] = []
    key: dict[int, tuple[str, str]] = {}
    for name, base_type, type_name, key_position in columns:
        assert name is not None
        assert base_type is not None
        assert type_name is not None
        shape_columns.append(Column(name, base_type))
        if key_position is not None:
            key[int(key_position)] = (name, type_name)
    if not key:
        raise ConfigError(f"{table} has no primary key: the delta needs one to read page by page")
    position = next((column for column in shape_columns if column.name == "txid"), None)
    if position is None:
        raise ConfigError(f"{table} has no column txid: {install}")
    if position.type != "xid8":
        raise ConfigError(
            f"column txid of {table} is of type {position.type}: the bridge needs that name for an xid8"
        )
    ordered = [key[number] for number in sorted(key)]
    names = tuple(name for name, _ in ordered)
    return WatchedTable(
        oid=int(oid or 0),
        shape=TableShape(table.name, tuple(shape_columns), names),
        key=Key(names, tuple(type_name for _, type_name in ordered)),
        rings=rings == "t",
        indexed=indexed == "t",
    )


def with_children(table: TableName) -> str:
    """Why a table that others inherit from cannot be watched."""
    return (
        f"{table} has children by inheritance, where its primary key does not hold: of two rows with the same key one "
        "could be lost. Watch the children, each by itself, or make it a partitioned table"
    )


def gate_holder(session: Session, oid: int, statement: str, *, timeout_s: float) -> str:
    """Pids of those who hold the gate, for the log."""
    try:
        ((pids,),) = session.query(statement, (str(oid),), timeout_s=timeout_s)
    except StatementRefused:
        return "unknown"
    return pids or "none"
