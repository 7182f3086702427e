"""The client's end of a connection, with the interface and the errors of `trio_bridge.postgres.session.Session`.

It blocks in one place, the caller's `block`, and knows only what has arrived by now. Like the real one it ends every
wait when the wake says ABORT, and gives a connection up that is silent for too long.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from psycopg import pq

from tests.simulation.postgres.connection import Connection, Done, Ended, Request, Result
from tests.simulation.postgres.network import Caller, Times
from trio_bridge.handover import Stop, Wake
from trio_bridge.postgres.session import Aborted, ConnectionLost, Notification, StatementRefused


class ModelSession:
    """See the module.

    Args:
        connection: logged in.
        times: the clock.
        caller: the thread that uses it.
        wake: ends waits.
    """

    server_version = 180000

    def __init__(self, connection: Connection, times: Times, caller: Caller, wake: Wake) -> None:
        self.connection = connection
        self._times = times
        self._caller = caller
        self._wake = wake
        self._notifications: list[Notification] = []

    @property
    def backend_pid(self) -> int:
        """Process id of the server's side."""
        return self.connection.backend.pid

    def prepare(self, name: str, statement: str, *, timeout_s: float) -> None:
        """As `Session.prepare`."""
        self.connection.request(Request(name, statement))
        for _ in self._results(timeout_s):
            pass

    def run(self, name: str, params: Sequence[str | None] = (), *, timeout_s: float) -> Iterator[Result]:
        """As `Session.run`."""
        self.connection.request(Request(name, None, params))
        return self._results(timeout_s)

    def query(
        self, statement: str, params: Sequence[str | None] = (), *, timeout_s: float
    ) -> list[tuple[str | None, ...]]:
        """As `Session.query`."""
        self.connection.request(Request(None, statement, params))
        return [
            tuple(
                None if (cell := result.get_value(row, column)) is None else cell.decode()
                for column in range(result.nfields)
            )
            for result in self._results(timeout_s)
            for row in range(result.ntuples)
        ]

    def wait(self, until: float) -> None:
        """As `Session.wait`."""
        if not self._arrived(until):
            return
        while self._next_at() <= self._times.now():
            self._consume()

    def notifications(self) -> list[Notification]:
        """As `Session.notifications`."""
        found, self._notifications = self._notifications, []
        return found

    def close(self) -> None:
        """As `Session.close`."""
        self.connection.close()

    def _results(self, timeout_s: float) -> Iterator[Result]:
        deadline = self._times.now() + timeout_s
        message: Result | Done | None = None
        while not isinstance(message, Done):
            while not self._arrived(deadline):
                if self._times.now() >= deadline:
                    raise ConnectionLost(
                        f"postgres has been silent for {timeout_s:g} s in a statement: connection given up"
                    )
            message = self._consume()
            deadline = self._times.now() + timeout_s
            if isinstance(message, Result):
                yield message
                # The time that the caller took with these rows was not the server's.
                deadline = self._times.now() + timeout_s
        # What came with the last of the answer is read with it.
        while self._next_at() <= self._times.now() and isinstance(self.connection.inbox[0][1], Notification):
            self._consume()
        if (error := message.refused) is not None:
            raise StatementRefused(f"postgres: {error} ({error.sqlstate})", error.sqlstate)
        yield Result([], pq.ExecStatus.TUPLES_OK)

    def _consume(self) -> Result | Done | None:
        """Take in the next message that has arrived; None: a notification, which is kept."""
        _, message = self.connection.inbox[0]
        if isinstance(message, Ended):
            # It stays: a connection that is lost is lost for every further call.
            raise ConnectionLost(f"lost the connection to postgres: {message.reason}")
        self.connection.inbox.popleft()
        if isinstance(message, Notification):
            self._notifications.append(message)
            return None
        return message

    def _next_at(self) -> float:
        inbox = self.connection.inbox
        return inbox[0][0] if inbox else math.inf

    def _arrived(self, until: float) -> bool:
        """Whether something has; waits for it at most once, and no longer than `until`."""
        check(self._wake)
        if self._next_at() > (now := self._times.now()) and until > now:
            self._caller.block(min(until, self._next_at()))
            check(self._wake)
        return self._next_at() <= self._times.now()


def check(wake: Wake) -> None:
    """Raise `Aborted` if it says so."""
    if wake.stop is Stop.ABORT:
        raise Aborted
