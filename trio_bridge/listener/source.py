"""What the two kinds of source share: getting in, becoming the leader, hearing the stop.

Runs in the listener's thread. A route has one leader among all replicas: who holds the route's advisory lock. The lock
lives and dies with the connection, so a leader that crashed is replaced as soon as Postgres has seen its socket close.
"""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger

from trio_bridge.errors import SourceError
from trio_bridge.handover import Stop, Wake
from trio_bridge.listener.frozen_leader import FrozenLeader
from trio_bridge.listener.share import Share
from trio_bridge.listener.stage import Closed, Line
from trio_bridge.postgres.direct import open_direct
from trio_bridge.postgres.queries import IDLE_CLASS, LEADER_CLASS
from trio_bridge.postgres.session import Aborted, LoginRefused, Session

LEADER_RETRY_S: Final = (0.1, 0.4)
"""A standby asks for the lock at random moments this far apart: hand-over stays well below a second."""

HEARTBEATS_TO_DEATH: Final = 3
"""Heartbeats without an answer after which a connection is given up."""


class OpenSession(Protocol):
    """Opens a session; see `open_direct`, which is the program's."""

    def __call__(self, conninfo: str, wake: Wake, *, timeout_s: float) -> Session:
        """A live connection to one host."""


def run_session(
    attempts: Sequence[str],
    line: Line,
    *,
    open_session: OpenSession,
    timeout_s: float,
    deliver: Callable[[Session], None],
) -> None:
    """The life of a source's thread: connect, `deliver` until drained or aborted, close, say so.

    Raises:
        BridgeError: what kept it from connecting, or what `deliver` raised.
    """
    try:
        session = connect(attempts, line, open_session=open_session, timeout_s=timeout_s)
        try:
            deliver(session)
        finally:
            session.close()
    except Aborted:
        pass
    finally:
        line.status.run_ended()
        line.outlet.put(Closed())


def unless_retrying(
    line: Line, log: FilteringBoundLogger, say: Callable[..., object]
) -> Callable[..., object]:
    """`say`, for what begins a run; while attempt follows attempt it is no news, and goes to the debug level."""
    return log.debug if line.status.retrying else say


def connect(
    attempts: Sequence[str],
    line: Line,
    *,
    open_session: OpenSession = open_direct,
    timeout_s: float,
) -> Session:
    """Connect to the first that lets us in.

    Raises:
        LoginRefused: all answered, and none wants us.
        SourceError: why the last one failed.
    """
    line.status.phase = "connecting"
    failure: SourceError = SourceError("no address to connect to")
    for conninfo in attempts:
        try:
            return open_session(conninfo, line.wake, timeout_s=timeout_s)
        except LoginRefused as error:
            failure = error
        except SourceError as error:
            # A host that refuses the login says more than one that is not there.
            if not isinstance(failure, LoginRefused):
                failure = error
    raise failure


def wait_leader(
    session: Session, line: Line, name: str, *, share: Share, timeout_s: float, log: FilteringBoundLogger
) -> bool:
    """Wait until this connection leads the route `name`; False if told to stop before."""
    key = _route_key(name)
    lead = f"pg_try_advisory_lock({LEADER_CLASS}, {key})"
    lead_unless_others_are_idle = f"CASE WHEN {_nobody_idle(key)} THEN {lead} ELSE false END"
    say_idle = f"SELECT pg_try_advisory_lock_shared({IDLE_CLASS}, {key})"
    say_no_more = f"SELECT pg_advisory_unlock_shared({IDLE_CLASS}, {key})"
    idle = False
    frozen = FrozenLeader(session, key, answer_s=timeout_s, log=log)
    line.status.phase = "connecting"
    while not _told_to_stop(line):
        statement = f"SELECT {lead_unless_others_are_idle if share.busy else lead}"
        ((led,),) = session.query(statement, timeout_s=timeout_s)
        line.status.statements += 1
        line.status.answered_at = time.monotonic()
        line.status.elsewhere = led != "t"
        if led == "t":
            share.leads(name)
        if idle and not share.idle:
            session.query(say_no_more, timeout_s=timeout_s)
            idle = False
        if led == "t":
            return True
        if share.idle and not idle:
            ((said,),) = session.query(say_idle, timeout_s=timeout_s)
            idle = said == "t"
        if line.status.phase != "standby":
            line.status.phase = "standby"
            log.info("standby", reason="another replica leads this route")
        frozen.look(time.monotonic())
        again_at = time.monotonic() + random.uniform(*LEADER_RETRY_S)  # noqa: S311  (spreads replicas, hides nothing)
        while time.monotonic() < again_at:
            line.wake.arm()
            if _told_to_stop(line):
                return False
            session.wait(again_at)
    return False


def idle_waits(session: Session, name: str, *, timeout_s: float) -> bool:
    """Whether a replica that leads nothing waits for the route `name`."""
    ((nobody,),) = session.query(f"SELECT {_nobody_idle(_route_key(name))}", timeout_s=timeout_s)
    return nobody != "t"


def _route_key(name: str) -> int:
    return zlib.crc32(name.encode()) - (1 << 31)


def _nobody_idle(key: int) -> str:
    # In one expression: a statement that is cancelled between the two would keep the lock.
    return f"(pg_try_advisory_lock({IDLE_CLASS}, {key}) AND pg_advisory_unlock({IDLE_CLASS}, {key}))"


def _told_to_stop(line: Line) -> bool:
    return line.wake.stop is not Stop.NO
