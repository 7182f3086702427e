"""From the DSN to a session, step by step: name, TCP or socket, TLS, login; each with its own words when it fails.

libpq does all of it in one go and tells of it in one text. Here each step is taken apart first, over connections that
are closed again, so that the text of the login is only ever about the login. What is tried is what the bridge tries:
the connection strings that `trio_bridge.postgres.conninfo` makes, in their order.

*Owns* the session from the login on; `close` ends it. Its statements run in worker threads, one at a time: libpq
allows a connection to be passed from thread to thread, though not to be used by two at once.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from typing import Final

import trio
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from trio_bridge.config.settings import PostgresSettings
from trio_bridge.doctor.hops import POSTGRES, Hop, Verdict, failed, ok, warning
from trio_bridge.errors import SourceError
from trio_bridge.handover import Wake
from trio_bridge.postgres.conninfo import resolve
from trio_bridge.postgres.session import LoginRefused, Session

NAME: Final = "postgres name"
CONNECTION: Final = "postgres connection"
TLS: Final = "postgres TLS"
LOGIN: Final = "postgres login"

APPLICATION: Final = "doctor"

# PostgreSQL manual, message formats: SSLRequest is its length and this number; the answer is one byte.
_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)
_NEEDS_TLS: Final = ("require", "verify-ca", "verify-full")

_FREE_A_SLOT: Final = (
    "raise max_connections, or end sessions that nobody needs: SELECT * FROM pg_stat_activity"
)
# What libpq's text shows, and what to do about it; the first that fits.
_LOGIN_REMEDIES: Final = {
    "password authentication failed": "put the role's password into postgres.password_file, or set a new one",
    "no password supplied": "give postgres.password_file, or TRIO_BRIDGE_POSTGRES_PASSWORD",
    "pg_hba.conf": "add a line for this role, database and address to pg_hba.conf, then SELECT pg_reload_conf()",
    "is not permitted to log in": "ALTER ROLE … LOGIN",
    "permission denied for database": "GRANT CONNECT ON DATABASE … TO …",
    "database": "correct dbname in postgres.dsn; psql -l lists the databases",
    "role": "correct user in postgres.dsn, or CREATE ROLE … LOGIN",
}
_CONNECT_REMEDIES: Final = {
    "certificate": "name the authority's file as sslrootcert= in postgres.dsn, or renew the server's certificate",
    "too many": _FREE_A_SLOT,
    "remaining connection slots": _FREE_A_SLOT,
    "starting up": "wait until the server has started",
    "read-write": "point postgres.dsn at the primary",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """One connection string and where it leads."""

    conninfo: str
    host: str
    port: int
    sslmode: str

    @property
    def is_socket(self) -> bool:
        return self.host.startswith(("/", "@"))

    def __str__(self) -> str:
        if not self.host:
            return "libpq's own default socket"
        if self.is_socket:
            return f"{self.host}/.s.PGSQL.{self.port}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class PostgresReach:
    """The first four hops; see the module.

    Args:
        settings: the DSN, the password and the deadline of each step.
    """

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._wake = Wake()
        self._session: Session | None = None
        self._places: list[_Place] = []

    @property
    def session(self) -> Session:
        """Logged in, once that hop is all right."""
        assert self._session is not None
        return self._session

    def close(self) -> None:
        """Ends the session."""
        if self._session is not None:
            self._session.close()
        self._wake.close()

    def hops(self) -> list[Hop]:
        """Name, connection, TLS, login."""
        dsn = "correct postgres.dsn"
        return [
            Hop(NAME, POSTGRES, self._resolve, (), f"{dsn}, or mend the name service: getent hosts NAME"),
            Hop(CONNECTION, POSTGRES, self._connect, (NAME,), dsn),
            Hop(TLS, POSTGRES, self._ask_for_tls, (CONNECTION,), dsn),
            Hop(LOGIN, POSTGRES, self._log_in, (TLS,), dsn),
        ]

    async def _resolve(self) -> Verdict:
        with trio.move_on_after(self._settings.connect_timeout_s):
            self._places = [_place(one) for one in await resolve(self._settings, APPLICATION)]
            return ok(f"leads to {', '.join(str(place) for place in self._places)}")
        raise SourceError(
            f"the name of the Postgres host was not resolved within {self._settings.connect_timeout_s:g} s"
        )

    async def _connect(self) -> Verdict:
        reached, refusals = [], []
        for place in self._places:
            try:
                # Where that is only libpq knows.
                if place.host:
                    await trio.aclose_forcefully(await self._open(place))
                reached.append(place)
            except SourceError as error:
                refusals.append(str(error))
        if not reached:
            first = self._places[0]
            return failed(
                "; ".join(refusals),
                "start PostgreSQL there, open the way through the firewall, or correct host and port in "
                f"postgres.dsn; try: pg_isready -h {first.host} -p {first.port}",
            )
        self._places = reached
        return ok(f"{reached[0]} accepts connections")

    async def _ask_for_tls(self) -> Verdict:
        place = self._places[0]
        if place.is_socket or not place.host:
            return ok("a Unix socket needs none")
        offered = await self._offers_tls(place)
        if place.sslmode == "disable":
            return ok("not wanted (sslmode=disable)")
        if offered:
            return ok(f"the server offers it (sslmode={place.sslmode})")
        if place.sslmode in _NEEDS_TLS:
            return failed(
                f"{place} offers no TLS, and sslmode={place.sslmode} demands it",
                "set ssl = on with a certificate in postgresql.conf, or sslmode=prefer in postgres.dsn",
            )
        if place.host in ("127.0.0.1", "::1", "localhost"):
            return ok("the server offers none; nothing leaves this machine")
        return warning(
            f"{place} offers no TLS: rows travel in the clear",
            "set ssl = on with a certificate in postgresql.conf",
        )

    async def _offers_tls(self, place: _Place) -> bool:
        answer = b""
        with trio.move_on_after(self._settings.connect_timeout_s) as patience:
            async with await self._open(place) as stream:
                try:
                    await stream.send_all(_SSL_REQUEST)
                    answer = bytes(await stream.receive_some(1))
                except trio.BrokenResourceError:
                    answer = b""
        if patience.cancelled_caught:
            raise SourceError(
                f"{place} accepted the connection and said nothing for {self._settings.connect_timeout_s:g} s: "
                "is it PostgreSQL, is it well?"
            )
        if answer not in (b"S", b"N"):
            raise SourceError(f"what listens at {place} does not answer as PostgreSQL does")
        return answer == b"S"

    async def _log_in(self) -> Verdict:
        failure = SourceError("no address to connect to")
        for place in self._places:
            try:
                self._session = await trio.to_thread.run_sync(self._start_session, place.conninfo)
            except SourceError as error:
                # A host that refuses the login says more than one that is not there.
                if isinstance(error, LoginRefused) or not isinstance(failure, LoginRefused):
                    failure = error
            else:
                return ok(f"logged in at {place}")
        text = str(failure)
        signs = _LOGIN_REMEDIES if isinstance(failure, LoginRefused) else _CONNECT_REMEDIES
        if "pooler" in text:
            return failed(
                text, "correct host and port in postgres.dsn: those of PostgreSQL, not of the pooler"
            )
        if "14 or newer" in text:
            return failed(text, "upgrade PostgreSQL to a version that is still maintained")
        return failed(
            text, next((remedy for sign, remedy in signs.items() if sign in text), "look at PostgreSQL's log")
        )

    def _start_session(self, conninfo: str) -> Session:
        return Session.connect(conninfo, self._wake, timeout_s=self._settings.connect_timeout_s)

    async def _open(self, place: _Place) -> trio.SocketStream:
        timeout_s = self._settings.connect_timeout_s
        with trio.move_on_after(timeout_s):
            try:
                if place.is_socket:
                    # libpq writes a socket without a file with an @ where the kernel has a NUL.
                    return await trio.open_unix_socket(re.sub("^@", "\0", str(place)))
                return await trio.open_tcp_stream(place.host, place.port)
            except OSError as error:
                if place.is_socket:
                    raise SourceError(
                        f"nothing listens at the Unix socket {place} ({error.strerror})"
                    ) from None
                raise SourceError(f"nothing listens at {place} ({_reason(error)})") from None
        raise SourceError(f"{place} took no connection within {timeout_s:g} s: does a firewall drop packets?")


def _place(conninfo: str) -> _Place:
    # What the string leaves open libpq takes from PGHOST and its like.
    defaults = {option.keyword.decode(): option.val for option in Conninfo.get_defaults()}
    said = {name: value.decode() for name, value in defaults.items() if value} | conninfo_to_dict(conninfo)
    host = str(said.get("hostaddr") or said.get("host") or "")
    return _Place(conninfo, host, int(said.get("port") or 5432), str(said.get("sslmode") or "prefer"))


def _reason(error: OSError) -> str:
    """The system's word; Trio hides the errors of the single addresses behind one of its own."""
    group = error.__cause__
    causes = group.exceptions if isinstance(group, BaseExceptionGroup) else (group, error)
    numbers = [cause.errno for cause in causes if isinstance(cause, OSError) and cause.errno]
    return os.strerror(numbers[0]) if numbers else "no reason given"
