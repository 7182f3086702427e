"""A table's name → its columns, as the mapping wants them: for a dashboard, which needs no installed bridge.

One short connection, which it *owns*; reads the catalogue and no row.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from trio_bridge.config.names import TableName
from trio_bridge.decoder.mapping import Column, TableShape
from trio_bridge.errors import ConfigError, SourceError
from trio_bridge.postgres.queries import statement

_CONNECT_TIMEOUT_S = 10


def table_shape(conninfo: str, table: TableName) -> TableShape:
    """The columns of `table` and the names of its key's. Blocks.

    Args:
        conninfo: libpq connection string, with its password.
        table: to look at.

    Raises:
        ConfigError: there is no such table.
        SourceError: Postgres cannot be reached or refuses.
    """
    name = sql.Identifier(table.schema, table.name).as_string()
    try:
        with psycopg.connect(
            conninfo,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_S,
            application_name="trio_bridge dashboard",
            cursor_factory=psycopg.RawCursor,
        ) as connection:
            ((oid,),) = connection.execute("SELECT to_regclass($1)::oid", (name,)).fetchall()
            if oid is None:
                raise ConfigError(f"there is no table {table} in this database")
            found = connection.execute(statement("queries/catalogue"), (oid,)).fetchall()
    except psycopg.Error as error:
        raise SourceError(f"postgres: {' '.join(str(error).split())}") from None
    columns = tuple(Column(column, kind) for column, kind, _, _ in found)
    key = sorted((position, column) for column, _, _, position in found if position is not None)
    return TableShape(table.name, columns, tuple(column for _, column in key))
