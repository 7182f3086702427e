"""What one role may do in a database beyond PUBLIC's rights: read from the catalogues, as rows and as a table.

Knows grants on tables, columns, schemas, functions, types, languages, foreign servers, large objects, the database, its
tablespaces and parameters; default grants; ownership; memberships; and the attributes of the role itself. What a right
of PUBLIC is, everybody has, and is not listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import psycopg


class Right(NamedTuple):
    """One thing that the role may do."""

    object: str
    privilege: str


# Each source of grants: what it is called, the name of an object, its access list, and where they stand.
_SOURCES: Final = (
    ("table", "o.oid::regclass::text", "o.relacl", "pg_class o"),
    ("column", "o.attrelid::regclass || '.' || quote_ident(o.attname)", "o.attacl", "pg_attribute o"),
    ("schema", "quote_ident(o.nspname)", "o.nspacl", "pg_namespace o"),
    ("function", "o.oid::regprocedure::text", "o.proacl", "pg_proc o"),
    ("type", "o.oid::regtype::text", "o.typacl", "pg_type o"),
    ("language", "o.lanname", "o.lanacl", "pg_language o"),
    ("foreign server", "o.srvname", "o.srvacl", "pg_foreign_server o"),
    ("foreign data wrapper", "o.fdwname", "o.fdwacl", "pg_foreign_data_wrapper o"),
    ("large object", "o.oid::text", "o.lomacl", "pg_largeobject_metadata o"),
    ("database", "quote_ident(o.datname)", "o.datacl", "pg_database o"),
    ("tablespace", "o.spcname", "o.spcacl", "pg_tablespace o"),
    ("default for new objects", "o.defaclobjtype::text", "o.defaclacl", "pg_default_acl o"),
)
_OTHERS: Final = """
    SELECT 'role ' || g.rolname, 'member' FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
    WHERE m.member = %(role)s::regrole
  UNION ALL
    SELECT 'object ' || d.objid || ' of ' || d.classid::regclass, 'owner' FROM pg_shdepend d
    WHERE d.refobjid = %(role)s::regrole AND d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o'
  UNION ALL
    SELECT 'the role itself', a.attribute FROM pg_roles r,
    LATERAL (VALUES ('SUPERUSER', r.rolsuper), ('CREATEROLE', r.rolcreaterole), ('CREATEDB', r.rolcreatedb),
                    ('REPLICATION', r.rolreplication), ('BYPASSRLS', r.rolbypassrls)) AS a (attribute, has)
    WHERE r.oid = %(role)s::regrole AND a.has
"""


def rights_of(connection: psycopg.Connection, role: str) -> list[Right]:
    """What `role` may do in the database of `connection`, sorted.

    Args:
        connection: of a superuser.
        role: its name, quoted as SQL would have it.
    """
    grants = "\n UNION ALL ".join(
        f"SELECT '{kind} ' || {name}, a.privilege_type || CASE WHEN a.is_grantable THEN ' and grant it' ELSE '' END "
        f"FROM {place}, aclexplode({acl}) a WHERE a.grantee = %(role)s::regrole"
        for kind, name, acl, place in _SOURCES
    )
    found = connection.execute(f"{grants} UNION ALL {_OTHERS}", {"role": role}).fetchall()
    return sorted(Right(*row) for row in found)


def as_table(rights: Sequence[Right]) -> str:
    """The lines of the handbook: one for each object."""
    lines = ["| on | the bridge may |", "|---|---|"]
    for thing in dict.fromkeys(right.object for right in rights):
        privileges = ", ".join(right.privilege for right in rights if right.object == thing)
        lines.append(f"| {thing} | {privileges} |")
    return "\n".join(lines)
