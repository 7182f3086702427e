"""A session as the server has it, and what is on the wire between it and its client.

The client's requests arrive, are executed in one instant each, and their answers go back; bells come in between. The
server ends a session of which it has heard nothing, or to which nothing gets through, for some seconds, as the bridge's
session settings ask it to. What the client knows of all that is what has arrived in `inbox`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from psycopg import pq

from tests.simulation.postgres.answers import Answer
from tests.simulation.postgres.backend import Backend
from tests.simulation.postgres.cluster import Cluster
from tests.simulation.postgres.faults import Refused
from tests.simulation.postgres.network import Caller, Direction, Times
from tests.simulation.postgres.statements import Plan, Statements
from tests.simulation.postgres.transaction import Bell
from trio_bridge.postgres.session import CHUNK_ROWS, Notification

CUT_AFTER_S = 5.0
"""``idle_session_timeout`` and ``tcp_user_timeout`` of the bridge's sessions."""

CHECK_S = 1.0
"""``client_connection_check_interval``: how soon a statement that waits notices that its client is gone."""

TERMINATED = "FATAL: terminating connection due to administrator command (57P01)"
IDLE = "FATAL: terminating connection due to idle-session timeout (57P05)"


class Request(NamedTuple):
    """A name with a text prepares it, a text alone runs once, a name alone runs what was prepared."""

    name: str | None
    text: str | None
    params: Sequence[str | None] = ()


class Result:
    """What libpq calls a PGresult."""

    __slots__ = ("_rows", "nfields", "ntuples", "status")

    def __init__(self, rows: Answer, status: pq.ExecStatus) -> None:
        self._rows = rows
        self.ntuples = len(rows)
        self.nfields = len(rows[0]) if rows else 0
        self.status = status

    def get_value(self, row: int, column: int) -> bytes | None:
        """A cell's text."""
        return self._rows[row][column]


class Done(NamedTuple):
    """The server is ready for the next statement."""

    refused: Refused | None


class Ended(NamedTuple):
    """The connection's end has come in."""

    reason: str


Message = Result | Done | Notification | Ended


class Connection:
    """See the module.

    Attributes:
        backend: its session.
        conninfo: as the client gave it.
        inbox: what the server has sent, with the time of its arrival.
    """

    def __init__(
        self,
        cluster: Cluster,
        statements: Statements,
        *,
        times: Times,
        caller: Caller,
        conninfo: str,
        lock_timeout_s: float,
    ) -> None:
        self.conninfo = conninfo
        self.inbox: deque[tuple[float, Message]] = deque()
        self.backend: Backend = cluster.connect()
        self.backend.hear = self._hear
        self._cluster = cluster
        self._statements = statements
        self._times = times
        self._caller = caller
        self._lock_timeout_s = lock_timeout_s
        self._up = Direction(times, caller.latency)
        self._down = Direction(times, caller.latency)
        self._deaf = False
        self._requesting = False
        self._prepared: dict[str, Plan] = {}
        self._held: list[Notification] = []
        self._waits: Callable[[], None] | None = None
        self._heard_at = times.now()
        times.later(self._heard_at + CUT_AFTER_S, self._check_idle)

    # The client's side.

    def request(self, request: Request) -> None:
        """Send a statement."""
        # It cannot be blocked meanwhile: an answer that comes at once need not wake it.
        self._requesting = True
        self._up.send(lambda: self._receive(request))
        self._requesting = False

    def close(self) -> None:
        """Close the socket."""
        self._up.send(self._notice_close)

    # What may happen to it.

    def terminate(self) -> None:
        """``pg_terminate_backend``."""
        self.backend.end(TERMINATED)

    def vanish(self) -> None:
        """Nothing that one side sends reaches the other any more."""
        self._up.cut()
        self._down.cut()
        self._deaf = True
        now = self._times.now()
        self.inbox = deque((at, message) for at, message in self.inbox if at <= now)

    def unlisten(self) -> None:
        """Somebody said UNLISTEN * in this session."""
        self.backend.unlisten()

    def discard_all(self) -> None:
        """Somebody said DISCARD ALL in it."""
        self.backend.unlisten()
        self.backend.unlock_all()
        self._prepared.clear()

    # The server's side.

    def ended(self, reason: str) -> None:
        """The session is gone: say goodbye, unless it was the client who left."""
        self._waits = None
        if reason:
            self._post(Ended(reason))

    def _receive(self, request: Request) -> None:
        if self.backend.ended or self._deaf:
            return
        self._heard_at = self._times.now()
        if request.text is not None:
            plan = self._statements.find(request.text)
        elif request.name in self._prepared:
            plan = self._prepared[request.name]
        else:
            self._reply([], Refused("26000", f'prepared statement "{request.name}" does not exist'))
            return
        if plan.locks_table and self._cluster.table_locked:
            self._wait_for_table(lambda: self._execute(request, plan))
        else:
            self._execute(request, plan)

    def _execute(self, request: Request, plan: Plan) -> None:
        answer: Answer = []
        refused: Refused | None = None
        if request.text is not None and request.name is not None:
            self._prepared[request.name] = plan
        else:
            try:
                answer = plan.handler(self.backend, request.params)
            except Refused as error:
                refused = error
        self._reply(answer, refused)

    def _wait_for_table(self, execute: Callable[[], None]) -> None:
        def go_on() -> None:
            # Not if it was refused meanwhile, or ended.
            if self._waits is go_on:
                self._waits = None
                execute()

        def give_up() -> None:
            if self._waits is go_on:
                self._waits = None
                self._reply([], Refused("55P03", "canceling statement due to lock timeout"))

        self._waits = go_on
        self._cluster.waiting.append(go_on)
        self._times.later(self._times.now() + self._lock_timeout_s, give_up)

    def _reply(self, answer: Answer, refused: Refused | None) -> None:
        self._heard_at = self._times.now()
        if refused is None:
            # As libpq in its chunked mode: full chunks, then an empty result.
            for start in range(0, len(answer), CHUNK_ROWS):
                self._post(Result(answer[start : start + CHUNK_ROWS], pq.ExecStatus.TUPLES_CHUNK))
        self._post(Done(refused))
        held, self._held = self._held, []
        for notification in held:
            self._post(notification)

    def _hear(self, bell: Bell) -> None:
        notification = Notification(*bell)
        if self._waits is None:
            self._post(notification)
        else:
            # Sent between two statements only.
            self._held.append(notification)

    def _post(self, message: Message) -> None:
        at = self._down.arrival()
        if at < math.inf:
            self.inbox.append((at, message))
            if not self._requesting:
                self._caller.kick()
        elif not self.backend.ended:
            self._times.later(self._times.now() + CUT_AFTER_S, lambda: self.backend.end(TERMINATED))

    def _notice_close(self) -> None:
        if self._deaf:
            return
        if self._waits is None:
            self.backend.end()
        else:
            self._times.later(self._times.now() + CHECK_S, self.backend.end)

    def _check_idle(self) -> None:
        if self.backend.ended:
            return
        now = self._times.now()
        if self._waits is not None:
            self._times.later(now + CUT_AFTER_S, self._check_idle)
        elif now >= self._heard_at + CUT_AFTER_S:
            self.backend.end(IDLE)
        else:
            self._times.later(self._heard_at + CUT_AFTER_S, self._check_idle)
