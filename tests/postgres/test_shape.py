"""The shape of a table: what the mapping needs, without an installed bridge."""

from __future__ import annotations

import pytest

from tests.pg import Database
from trio_bridge.config.names import TableName
from trio_bridge.decoder.mapping import Column, TableShape
from trio_bridge.errors import ConfigError, SourceError
from trio_bridge.postgres.shape import table_shape


def test_columns_and_key_in_their_order(database: Database) -> None:
    """Base types of all columns, the key in its own order, a name that needs quotes, and nothing installed."""
    database.execute("CREATE DOMAIN celsius AS float8")
    database.execute(
        'CREATE TABLE "My T" (b int, "timestamp" timestamptz, a text, c celsius, PRIMARY KEY (a, b))'
    )
    assert table_shape(database.dsn, TableName("public", "My T")) == TableShape(
        "My T",
        (Column("b", "int4"), Column("timestamp", "timestamptz"), Column("a", "text"), Column("c", "float8")),
        ("a", "b"),
    )


def test_what_is_not_there_has_a_sentence(database: Database) -> None:
    """A missing table is the operator's mistake, a missing server is Postgres' matter."""
    with pytest.raises(ConfigError, match=r"there is no table public\.t in"):
        table_shape(database.dsn, TableName("public", "t"))
    with pytest.raises(SourceError, match="postgres: connection"):
        table_shape("host=127.0.0.1 port=1", TableName("public", "t"))
