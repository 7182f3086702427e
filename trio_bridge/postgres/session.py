"""One libpq connection with a poll loop of its own: on the connection's socket and on a wake socket at once.

Made, used and closed by one thread (the listener's). psycopg's `pq` layer is used bare, because its connection object
cannot be woken and wakes itself ten times a second. Every wait ends at `Wake.abort`, or when the server was silent for
too long: an answer that comes slowly is not silence. Notifications that arrive while a statement runs are kept by libpq
and do not make the socket readable again: `notifications` must be asked after each statement, before the next wait.

Ends with `close`, which ends the session on the server too. Never reconnects, never retries.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import pq

from trio_bridge.errors import SourceError
from trio_bridge.handover import Stop, Wake
from trio_bridge.quote import masked, one_line

CHUNK_ROWS: Final = 256
"""Rows that libpq keeps at a time while a page comes in; bounds the memory of a page of huge rows."""

_LOGIN_SIGNS: Final = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "pg_hba.conf rejects",
    "is not permitted to log in",
    "permission denied for database",
)
_ROWS: Final = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.TUPLES_CHUNK)


class Aborted(Exception):
    """`Wake.abort` was called while the session waited."""


class ConnectionLost(SourceError):
    """The connection broke, or was silent for too long."""


class StatementRefused(SourceError):
    """Postgres answered with an error; the session lives on.

    Attributes:
        sqlstate: the five-character code.
    """

    def __init__(self, message: str, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class LoginRefused(SourceError):
    """Postgres does not let us in: password, role, database or pg_hba."""


def from_wire(value: bytes) -> str:
    """The text of a value; what is not UTF-8 (a database may have no encoding) finds its way back by `to_wire`."""
    return value.decode("utf-8", "surrogateescape")


def to_wire(text: str) -> bytes:
    """The bytes of a text that `from_wire` made, or of any other."""
    return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Notification:
    """One NOTIFY."""

    channel: str
    payload: bytes


class Session:
    """A live connection; see the module. *Owns* the libpq connection.

    Args:
        pgconn: connected, as `connect` makes it.
        wake: ends waits.
    """

    def __init__(self, pgconn: pq.abc.PGconn, wake: Wake) -> None:
        self._pgconn = pgconn
        self._wake = wake
        self._poll = select.poll()
        self._poll.register(pgconn.socket, select.POLLIN)
        self._poll.register(wake, select.POLLIN)
        self._wake_fileno = wake.fileno()
        self._socket = pgconn.socket
        self._last_words = ""
        # Outside of a statement Postgres says goodbye in a notice, and closes: the only place where the reason stands.
        pgconn.notice_handler = self._note

    @classmethod
    def connect(cls, conninfo: str, wake: Wake, *, timeout_s: float) -> Session:
        """Connect to one host.

        Args:
            conninfo: a libpq connection string for a single host.
            wake: ends waits.
            timeout_s: from TCP to login.

        Raises:
            LoginRefused: Postgres knows us not; trying again without a change is pointless.
            SourceError: anything else that kept us from connecting.
            Aborted: see there.
        """
        deadline = time.monotonic() + timeout_s
        pgconn = pq.PGconn.connect_start(conninfo.encode())
        try:
            _finish_connecting(pgconn, wake, deadline)
        except BaseException:
            pgconn.finish()
            raise
        pgconn.nonblocking = 1
        return cls(pgconn, wake)

    @property
    def backend_pid(self) -> int:
        """Process id of the server's side."""
        return self._pgconn.backend_pid

    @property
    def server_version(self) -> int:
        """E.g. 180001."""
        return self._pgconn.server_version

    @property
    def server_encoding(self) -> str:
        """E.g. ``UTF8``; ``SQL_ASCII``: texts are whatever bytes somebody wrote."""
        return (self._pgconn.parameter_status(b"server_encoding") or b"").decode()

    def prepare(self, name: str, statement: str, *, timeout_s: float) -> None:
        """Prepare `statement` under `name`."""
        with _mapped():
            self._pgconn.send_prepare(name.encode(), statement.encode())
        for _ in self._results(timeout_s):
            pass

    def run(
        self, name: str, params: Sequence[str | None] = (), *, timeout_s: float
    ) -> Iterator[pq.abc.PGresult]:
        """Run a prepared statement; its rows come in results of at most `CHUNK_ROWS`.

        The iterator must be exhausted. Raises as `query` does.
        """
        values = [None if value is None else to_wire(value) for value in params]
        with _mapped():
            self._pgconn.send_query_prepared(name.encode(), values)
        self._pgconn.set_chunked_rows_mode(CHUNK_ROWS)
        return self._results(timeout_s)

    def query(
        self, statement: str, params: Sequence[str | None] = (), *, timeout_s: float
    ) -> list[tuple[str | None, ...]]:
        """Run one statement in autocommit and return its rows as text.

        Args:
            statement: with ``$1``, ``$2``, … for `params`.
            params: their text forms.
            timeout_s: longest silence of the server, before and within its answer.

        Raises:
            StatementRefused: Postgres answered with an error.
            ConnectionLost: nothing came for `timeout_s`, or the connection broke.
            Aborted: see there.
        """
        values = [None if value is None else to_wire(value) for value in params]
        with _mapped():
            self._pgconn.send_query_params(statement.encode(), values)
        rows: list[tuple[str | None, ...]] = []
        for result in self._results(timeout_s):
            for row in range(result.ntuples):
                cells = (result.get_value(row, column) for column in range(result.nfields))
                rows.append(tuple(None if cell is None else from_wire(bytes(cell)) for cell in cells))
        return rows

    def wait(self, until: float) -> None:
        """Return when something came in, when woken, or at `until` (monotonic seconds).

        Raises:
            ConnectionLost: the connection broke.
            Aborted: see there.
        """
        if self._wait_readable(until):
            self._consume()

    def notifications(self) -> list[Notification]:
        """Those that have come in, oldest first."""
        found: list[Notification] = []
        while notify := self._pgconn.notifies():
            found.append(Notification(notify.relname.decode("utf-8", "replace"), notify.extra))
        return found

    def close(self) -> None:
        """End the session, here and on the server."""
        self._pgconn.finish()

    def _results(self, timeout_s: float) -> Iterator[pq.abc.PGresult]:
        pgconn = self._pgconn
        refused: StatementRefused | None = None
        self._flush(timeout_s)
        deadline = time.monotonic() + timeout_s
        while True:
            while pgconn.is_busy():
                if self._wait_readable(deadline):
                    self._consume()
                    deadline = time.monotonic() + timeout_s
                elif time.monotonic() >= deadline:
                    raise ConnectionLost(
                        f"postgres has been silent for {timeout_s:g} s in a statement: connection given up"
                    )
            result = pgconn.get_result()
            if result is None:
                break
            if result.status == pq.ExecStatus.FATAL_ERROR:
                refused = refused or _refusal(result)
                # libpq makes the end of the connection an error of the statement, and would report it once more.
                self._last_words = str(refused)
            elif result.status in _ROWS:
                yield result
                # The time that the caller took with these rows was not the server's.
                deadline = time.monotonic() + timeout_s
        if pgconn.status == pq.ConnStatus.BAD:
            raise self._lost("the server closed it")
        if refused is not None:
            self._last_words = ""
            raise refused

    def _flush(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self._flush_some():
            self._poll.modify(self._socket, select.POLLIN | select.POLLOUT)
            try:
                ready = self._wait_readable(deadline)
            finally:
                self._poll.modify(self._socket, select.POLLIN)
            if ready:
                self._consume()
            elif time.monotonic() >= deadline:
                raise ConnectionLost(
                    f"postgres has taken nothing in for {timeout_s:g} s: connection given up"
                )

    def _flush_some(self) -> bool:
        with _mapped():
            return self._pgconn.flush() != 0

    def _wait_readable(self, until: float) -> bool:
        """Whether the connection's socket has something; False when woken or at `until`."""
        _check(self._wake)
        ready = dict(self._poll.poll(_milliseconds_to(until)))
        _check(self._wake)
        if self._wake_fileno in ready:
            # Left there, it would end every further wait at once.
            self._wake.swallow()
        return self._socket in ready

    def _consume(self) -> None:
        try:
            self._pgconn.consume_input()
        except psycopg.OperationalError as error:
            raise self._lost(_first_line(error)) from None
        # Makes libpq look at what has come, so that a goodbye is noted before the socket's end hides it.
        self._pgconn.is_busy()

    def _note(self, notice: pq.abc.PGresult) -> None:
        if notice.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) in (b"FATAL", b"PANIC"):
            self._last_words = str(_refusal(notice))

    def _lost(self, reason: str) -> ConnectionLost:
        return ConnectionLost(f"lost the connection to postgres: {self._last_words or reason}")


@contextlib.contextmanager
def _mapped() -> Iterator[None]:
    """Sending fails only when the connection is gone."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise ConnectionLost(f"lost the connection to postgres: {_first_line(error)}") from None


def _check(wake: Wake) -> None:
    if wake.stop is Stop.ABORT:
        raise Aborted


def _finish_connecting(pgconn: pq.abc.PGconn, wake: Wake, deadline: float) -> None:
    # PostgreSQL manual, PQconnectPoll: begin as if it had asked to write.
    state: int = pq.PollingStatus.WRITING
    while True:
        if pgconn.status == pq.ConnStatus.BAD or state == pq.PollingStatus.FAILED:
            raise _connect_failure(pgconn)
        if state == pq.PollingStatus.OK:
            return
        # libpq may change its socket between two steps.
        socket = pgconn.socket
        poll = select.poll()
        poll.register(socket, select.POLLIN if state == pq.PollingStatus.READING else select.POLLOUT)
        poll.register(wake, select.POLLIN)
        _check(wake)
        ready = dict(poll.poll(_milliseconds_to(deadline)))
        _check(wake)
        if socket in ready:
            state = pgconn.connect_poll()
        elif time.monotonic() >= deadline:
            raise SourceError(f"postgres at {_where(pgconn)} did not let us in within the time given")
        else:
            wake.swallow()


def _connect_failure(pgconn: pq.abc.PGconn) -> SourceError:
    # libpq gives no SQLSTATE for a failed connection: the text is all there is.
    # The first line is what happened; libpq's questions to a person follow.
    lines = bytes(pgconn.error_message).decode("utf-8", "replace").strip().splitlines()
    said = one_line(lines[0]) if lines else "no reason given"
    # Whoever answers there may have asked for the password, and say it back.
    text = masked(said, [bytes(pgconn.password).decode("utf-8", "replace")])
    if "unrecognized configuration parameter" in text:
        return LoginRefused(f"postgres does not know a setting of ours, it must be 14 or newer: {text}")
    if "unsupported startup parameter" in text:
        return LoginRefused(
            "a connection pooler is in the way, which would lose notifications and locks: "
            f"give the address of postgres itself: {text}"
        )
    if any(sign in text for sign in _LOGIN_SIGNS):
        return LoginRefused(f"postgres refused the login: {text}")
    return SourceError(f"cannot connect to postgres: {text}")


def _refusal(result: pq.abc.PGresult) -> StatementRefused:
    sqlstate = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
    message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
    return StatementRefused(
        f"postgres: {bytes(message).decode('utf-8', 'replace').strip()} ({bytes(sqlstate).decode()})",
        bytes(sqlstate).decode(),
    )


def _first_line(error: psycopg.Error) -> str:
    # The first line is the server's or the kernel's word; libpq's guesses follow.
    return str(error).removeprefix("consuming input failed: ").partition("\n")[0].strip()


def _where(pgconn: pq.abc.PGconn) -> str:
    return f"{bytes(pgconn.host).decode()}:{bytes(pgconn.port).decode()}"


def _milliseconds_to(until: float) -> int | None:
    if until == float("inf"):
        return None
    # Rounded up: a wait that ends a little early would spin through its last millisecond.
    return max(0, int((until - time.monotonic()) * 1000 + 0.999))
