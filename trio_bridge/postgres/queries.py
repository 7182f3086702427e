"""The SQL of the package: files in ``sql/``, composed with `psycopg.sql`: no name is ever pasted into a text."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

from psycopg import sql

GATE_CLASS: Final = 0x5442_0001
"""First key of the gate's advisory lock; the second is the table's oid."""

INSTALL_CLASS: Final = 0x5442_0003
"""First key of the lock under which installations take turns; the second is 0."""

SCHEMA_VERSION: Final = 1
"""Of the objects in schema trio_bridge that this program works with."""

LEADER_CLASS: Final = 0x5442_0002
"""First key of a route's leader lock; the second comes from the route's name."""

IDLE_CLASS: Final = 0x5442_0004
"""First key of the lock that an idle replica holds, shared, while it waits for a route; the second as above."""


@cache
def load(name: str) -> str:
    """The text of ``sql/<name>.sql``."""
    return files("trio_bridge").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def compose(file: str, /, **parts: sql.Composable) -> str:
    """``sql/<file>.sql`` with its ``{parts}`` filled in."""
    return raw(load(file)).format(**parts).as_string().strip()


def statement(file: str, /, **parts: sql.Composable) -> str:
    """As `compose`, for the wire: without comments.

    They go before the parts come in: what looks like a comment in a quoted name is none.
    """
    return raw(without_comments(load(file))).format(**parts).as_string()


def without_comments(text: str) -> str:
    """The statement alone, for the wire: what the server logs and keeps should not carry our prose."""
    return re.sub(r"^\s*--.*\n", "", text, flags=re.MULTILINE).strip()


def raw(text: str) -> sql.SQL:
    """SQL that the server or this package made, as a part for `compose`."""
    return sql.SQL(text)
