"""A session with Postgres itself: a connection pooler in between is refused before anything is trusted to it.

A pooler hands one client's statements to whatever backend is free. LISTEN and advisory locks would then belong to a
backend that somebody else uses next, and two replicas could hold one leader lock. In session mode it still drops the
settings of `conninfo.SESSION_OPTIONS`, without which a delta can miss rows and a frozen bridge keeps its locks. Poolers
that are made to ignore those settings let us in without a word, so the session is asked who answers, and how it is set.
Then it gets the settings that cannot go with the login.
"""

from __future__ import annotations

from typing import Final

from trio_bridge.handover import Wake
from trio_bridge.postgres.conninfo import SESSION_OPTIONS
from trio_bridge.postgres.session import LoginRefused, Session

FIRST_WITH_TRANSACTION_TIMEOUT: Final = 170_000
"""It is said after the login, because an older server refuses a login that names it."""

_WHO: Final = (
    "SELECT pg_backend_pid(), current_setting('default_transaction_isolation'), "
    "(SELECT setting FROM pg_settings WHERE name = 'idle_session_timeout')"
)


def open_direct(conninfo: str, wake: Wake, *, timeout_s: float) -> Session:
    """As `Session.connect`; *owns* the session until it is returned.

    Raises:
        LoginRefused: as there, or the session is not Postgres' own.
        SourceError: as there.
        Aborted: as there.
    """
    session = Session.connect(conninfo, wake, timeout_s=timeout_s)
    try:
        _refuse_pooler(session, timeout_s=timeout_s)
        if session.server_encoding == "SQL_ASCII":
            # Asked for UTF-8, Postgres would refuse a whole page for one text that is none.
            session.query("SET client_encoding = 'SQL_ASCII'", timeout_s=timeout_s)
        if session.server_version >= FIRST_WITH_TRANSACTION_TIMEOUT:
            session.query("SET transaction_timeout = 0", timeout_s=timeout_s)
    except BaseException:
        session.close()
        raise
    return session


def _refuse_pooler(session: Session, *, timeout_s: float) -> None:
    wanted = SESSION_OPTIONS["default_transaction_isolation"], SESSION_OPTIONS["idle_session_timeout"]
    ((pid, *settings),) = session.query(_WHO, timeout_s=timeout_s)
    if pid != str(session.backend_pid) or tuple(settings) != wanted:
        raise LoginRefused(
            "a connection pooler (PgBouncer?) is in the way, which loses notifications, locks and the settings of "
            "a session: give the address of postgres itself"
        )
