"""What a route finds in its database: installation, table, trigger, checkpoint, and who leads it now.

Reads with the bridge's own eyes (`trio_bridge.postgres.catalogue`), and what that leaves out because it does no harm
at once: a missing default, a switched-off trigger, an old function. Nothing is taken over: a bridge that runs beside
the doctor notices nothing. Each remedy is the whole command, with an owner's DSN in the place of the bridge's.
"""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Callable
from typing import Final, TypeVar

import trio
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from trio_bridge.config.names import TableName, parse_table
from trio_bridge.config.settings import PostgresSettings, RouteSettings
from trio_bridge.decoder.mapping import map_table
from trio_bridge.doctor.hops import TABLE, Hop, Verdict, failed, ok, warning
from trio_bridge.doctor.postgres_server import ONE_SESSION
from trio_bridge.doctor.reach_postgres import PostgresReach
from trio_bridge.postgres.catalogue import WatchedTable, read_cluster, read_table
from trio_bridge.postgres.checkpoint import FORMAT
from trio_bridge.postgres.queries import (
    GATE_CLASS,
    LEADER_CLASS,
    SCHEMA_VERSION,
    compose,
    statement,
)

INSTALLATION: Final = "installation"

_UNSIGNED: Final = 0xFFFF_FFFF
# How the bridge's sessions are called, unless the DSN gives them another name.
_APPLICATION: Final = "trio_bridge"

_Found = TypeVar("_Found")


class PostgresTable:
    """The hops of one route; see the module.

    Args:
        reach: logged in by the time the hops are looked at.
        settings: whose DSN the remedies repeat.
        route: any route; one of a channel has no table and no checkpoint.
        config: words that make a command read the same configuration, e.g. ``--config bridge.toml``.
    """

    def __init__(
        self, reach: PostgresReach, settings: PostgresSettings, route: RouteSettings, *, config: str
    ) -> None:
        self._reach = reach
        self._timeout_s = settings.connect_timeout_s
        self._route = route
        self._config = config
        self._table: TableName | None = None if route.table is None else parse_table(route.table)
        self._watched: WatchedTable | None = None
        self._install = _install(settings, self._table, config)

    def hops(self) -> list[Hop]:
        """In their order; only a leader for a channel route."""
        leader = Hop(self._name("leader"), TABLE, self._leader, (ONE_SESSION,), "")
        if self._table is None:
            return [leader]
        table, checkpoint = self._name("table"), self._name("checkpoint")
        return [
            Hop(table, TABLE, self._look, (INSTALLATION,), self._install),
            Hop(
                self._name("columns"),
                TABLE,
                self._columns,
                (table,),
                "correct the [[route]] in the configuration",
            ),
            Hop(self._name("position column"), TABLE, self._position_column, (table,), self._install),
            Hop(self._name("index"), TABLE, self._index, (table,), self._install),
            Hop(self._name("trigger"), TABLE, self._trigger, (table,), self._install),
            Hop(checkpoint, TABLE, self._checkpoint, (INSTALLATION,), self._install),
            leader,
            Hop(self._name("gate"), TABLE, self._gate, (table,), ""),
        ]

    def installation(self) -> Hop:
        """What all routes of the database share."""
        return Hop(INSTALLATION, TABLE, self._installed, (ONE_SESSION,), self._install)

    def _name(self, what: str) -> str:
        return f"{self._route.name}: {what}"

    async def _run(self, look: Callable[[], _Found]) -> _Found:
        return await trio.to_thread.run_sync(look)

    async def _query(self, text: str, *params: str) -> list[tuple[str | None, ...]]:
        return await self._run(lambda: self._reach.session.query(text, params, timeout_s=self._timeout_s))

    async def _installed(self) -> Verdict:
        await self._run(lambda: read_cluster(self._reach.session, timeout_s=self._timeout_s))
        return ok(f"schema trio_bridge is of version {SCHEMA_VERSION}, this role may write its checkpoint")

    async def _look(self) -> Verdict:
        table = self._name_of_table
        watched = await self._run(lambda: read_table(self._reach.session, table, timeout_s=self._timeout_s))
        self._watched = watched
        return ok(f"{table} is readable, no row is hidden, its key is {', '.join(watched.key.columns)}")

    @property
    def _known(self) -> WatchedTable:
        assert self._watched is not None
        return self._watched

    async def _columns(self) -> Verdict:
        await trio.lowlevel.checkpoint()
        mapping = map_table(self._route, self._known.shape)
        return ok(f"time {mapping.time}, fields {', '.join(field.name for field in mapping.fields)}")

    async def _position_column(self) -> Verdict:
        ((default, *_),) = await self._query(statement("queries/doctor_table"), str(self._known.oid))
        if default != "t":
            return failed(
                f"column txid of {self._table} has lost its default: new rows get none and are never delivered",
                self._install,
            )
        return ok("new rows get their transaction")

    async def _index(self) -> Verdict:
        await trio.lowlevel.checkpoint()
        if not self._known.indexed:
            return warning(
                f"{self._table} has no valid index on txid and its key: each look reads the whole table",
                self._install,
            )
        return ok("new rows are found by index")

    async def _trigger(self) -> Verdict:
        ((_, enabled, source, name),) = await self._query(
            statement("queries/doctor_table"), str(self._known.oid)
        )
        if enabled is None:
            return warning(
                f"{self._table} has no trigger: the bridge can only poll, rows come later", self._install
            )
        if enabled not in ("O", "A"):
            how = "fires only on a replica" if enabled == "R" else "is switched off"
            enable = sql.SQL("ALTER TABLE {} ENABLE TRIGGER {}").format(
                sql.Identifier(self._name_of_table.schema, self._name_of_table.name),
                sql.Identifier(name or ""),
            )
            return warning(
                f"the trigger of {self._table} {how}: the bridge can only poll, rows come later",
                f"as the owner, in psql: {enable.as_string()}",
            )
        if (source or "").strip() != _bell():
            return warning(
                "the function trio_bridge.notify_new_record is not the one of this version", self._install
            )
        return ok("there, enabled, of this version")

    @property
    def _name_of_table(self) -> TableName:
        assert self._table is not None
        return self._table

    async def _checkpoint(self) -> Verdict:
        name = self._route.name
        found = await self._query(statement("queries/doctor_checkpoint"), name)
        anew = (
            "as the owner, in psql: "
            + sql.SQL("DELETE FROM trio_bridge.checkpoint WHERE name = {}").format(name).as_string()
            + f"; then {self._install} --start now (or earliest)"
        )
        if not found:
            return failed(f"route {name} has no checkpoint", self._install)
        version, identifier, here, last, following, age = found[0]
        if version != str(FORMAT):
            return failed(
                f"the checkpoint of route {name} is of format {version}, this program knows {FORMAT}",
                "use the same version of trio-bridge everywhere",
            )
        if identifier != here:
            return failed(
                f"the checkpoint of route {name} comes from another cluster ({identifier}, here {here}): "
                "the database was restored from a dump",
                anew,
            )
        if int(last or 0) > int(following or 0):
            return failed(
                f"the checkpoint of route {name} lies in the future (transaction {last}, the next here is {following})",
                anew,
            )
        return ok(f"of this cluster, written {age} s ago")

    @property
    def _leader_number(self) -> int:
        # As the listener makes it, which hands it to Postgres as a signed number.
        return (zlib.crc32(self._route.name.encode()) - (1 << 31)) & _UNSIGNED

    async def _leader(self) -> Verdict:
        holders = await self._holders(LEADER_CLASS, self._leader_number)
        if not holders:
            return warning(
                f"no bridge leads route {self._route.name}: nothing is delivered until one runs",
                f"trio-bridge run{self._config}",
            )
        return ok(f"led by {_described(holders)}")

    async def _gate(self) -> Verdict:
        holders = await self._holders(GATE_CLASS, self._known.oid)
        leader = await self._holders(LEADER_CLASS, self._leader_number)
        others = [holder for holder in holders if holder not in leader]
        strangers = [holder for holder in others if not (holder[1] or "").startswith(_APPLICATION)]
        if not holders:
            return ok("free: the bridge polls, or none runs")
        if strangers:
            return warning(
                f"the gate of {self._table} is held by {_described(strangers)}, which is no bridge: "
                "the leader can only poll",
                f"if nobody needs that session: SELECT pg_terminate_backend({strangers[0][0]})",
            )
        if others:
            return ok(f"held by {_described(others)}, for another route of this table")
        return ok("held by the leader, which is told of each row")

    async def _holders(self, lock_class: int, number: int) -> list[tuple[str | None, ...]]:
        return await self._query(statement("queries/doctor_holders"), str(lock_class), str(number))


def _described(holders: list[tuple[str | None, ...]]) -> str:
    return ", ".join(f"pid {pid} ({application}, from {address})" for pid, application, address in holders)


def _bell() -> str:
    """The body of the function as this version installs it."""
    text = compose("schema", gate_class=sql.Literal(GATE_CLASS), version=sql.Literal(SCHEMA_VERSION))
    return text.split("$function$")[1].strip()


def _install(settings: PostgresSettings, table: TableName | None, config: str) -> str:
    dsn = conninfo_to_dict(settings.dsn)
    role = dsn.get("user")
    places = {name: dsn[name] for name in ("host", "port", "dbname") if name in dsn}
    owner = make_conninfo("", **places, user="OWNER")
    words = f"trio-bridge install{config} --dsn {shlex.quote(owner)}"
    if table is not None:
        words += f" --table {shlex.quote(str(table))}"
    return words + (f" --role {shlex.quote(str(role))}" if role else "")
