"""A table's name as SQL writes it → schema and name as the catalog holds them, and back.

    live_metrics            public . live_metrics
    Metrics.Live            metrics . live             (unquoted letters fold to lower case, as in SQL)
    "My schema"."Tä ble"    My schema . Tä ble         (quoted: as it stands, a doubled quote is one quote)

Pure. A bare name means the schema public, not the first of a search_path: which table is watched must not
depend on who connects. It never composes SQL: that is psycopg's ``sql.Identifier(name.schema, name.name)``.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from trio_bridge.errors import ConfigError

# PostgreSQL: NAMEDATALEN - 1. The server cuts a longer name with a mere notice; it could then be another's.
MAX_NAME_BYTES = 63

# PostgreSQL, scan.l: an unquoted name is made of letters, digits, `_`, `$` and anything outside ASCII. Lone
# surrogates (an environment that is not UTF-8) are no characters.
_WIDE = r"\x80-\ud7ff\ue000-\U0010ffff"
_PART = rf'\s*("(?:[^"\0\ud800-\udfff]|"")+"|[a-zA-Z_{_WIDE}][a-zA-Z0-9_${_WIDE}]*)\s*'
_TABLE = re.compile(rf"(?:{_PART}\.)?{_PART}", re.ASCII)
_NEEDS_NO_QUOTES = re.compile(r"[a-z_][a-z0-9_]*")

# PostgreSQL, downcase_identifier: in a multi-byte encoding only A-Z are folded.
_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class TableName:
    """One table; ``str()`` is what `parse_table` reads as the same table.

    Attributes:
        schema: as in ``pg_namespace.nspname``.
        name: as in ``pg_class.relname``.
    """

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{_quoted(self.schema)}.{_quoted(self.name)}"


def parse_table(text: str) -> TableName:
    """Reads ``table``, ``schema.table`` or either part in double quotes.

    Raises:
        ConfigError: the text is something else, or a part is longer than Postgres keeps.
    """
    found = _TABLE.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"{text!r} is not the name of a table: write table, schema.table "
            'or, as in SQL, "My schema"."My table"'
        )
    schema, name = (_unquoted(part) for part in found.groups(default="public"))
    for part in (schema, name):
        if len(part.encode()) > MAX_NAME_BYTES:
            raise ConfigError(f"{part!r} is longer than the {MAX_NAME_BYTES} bytes Postgres keeps of a name")
    return TableName(schema, name)


def _unquoted(part: str) -> str:
    if part.startswith('"'):
        return part[1:-1].replace('""', '"')
    return part.translate(_FOLD)


def _quoted(name: str) -> str:
    if _NEEDS_NO_QUOTES.fullmatch(name):
        return name
    return '"' + name.replace('"', '""') + '"'
