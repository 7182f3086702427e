"""A cluster's door: logins that take their time and may be refused, and the connections behind it."""

from __future__ import annotations

from enum import Enum

from tests.simulation.postgres.cluster import Cluster
from tests.simulation.postgres.connection import Connection
from tests.simulation.postgres.network import Caller, Times
from tests.simulation.postgres.session import ModelSession, check
from tests.simulation.postgres.statements import Statements
from trio_bridge.errors import SourceError
from trio_bridge.handover import Wake
from trio_bridge.postgres.session import LoginRefused


class Refusal(Enum):
    """Why a server that is up lets nobody in; in its words."""

    STARTING = "FATAL: the database system is starting up"
    FULL = "FATAL: sorry, too many clients already"
    LOGIN = 'FATAL: password authentication failed for user "bridge"'


class ModelServer:
    """See the module.

    Args:
        cluster: what is behind it.
        times: the clock.
        lock_timeout_s: of the bridge's sessions: its heartbeat.

    Attributes:
        refusal: what every login is answered; None: welcome.
        connections: those of which the server thinks that they live.
    """

    def __init__(self, cluster: Cluster, times: Times, *, lock_timeout_s: float = 0.5) -> None:
        self.cluster = cluster
        self.refusal: Refusal | None = None
        self.connections: list[Connection] = []
        self._times = times
        self._lock_timeout_s = lock_timeout_s
        self._statements = Statements(cluster)

    def connect(self, conninfo: str, wake: Wake, *, timeout_s: float, caller: Caller) -> ModelSession:
        """As `Session.connect`, from the thread of `caller`.

        Raises:
            LoginRefused: the refusal says so.
            SourceError: any other refusal, the server is down, or no answer came.
            Aborted: see there.
        """
        deadline = self._times.now() + timeout_s
        self._travel(caller, wake, deadline)
        if not self.cluster.up or self.refusal is not None:
            refusal = self.refusal if self.cluster.up else None
            self._travel(caller, wake, deadline)
            if refusal is Refusal.LOGIN:
                raise LoginRefused(f"postgres refused the login: {refusal.value}")
            raise SourceError(
                f"cannot connect to postgres: {refusal.value if refusal else 'Connection refused'}"
            )
        connection = self._open(caller, conninfo)
        try:
            self._travel(caller, wake, deadline)
        except BaseException:
            # The server has let somebody in who is not there any more.
            connection.close()
            raise
        return ModelSession(connection, self._times, caller, wake)

    def _open(self, caller: Caller, conninfo: str) -> Connection:
        connection = Connection(
            self.cluster,
            self._statements,
            times=self._times,
            caller=caller,
            conninfo=conninfo,
            lock_timeout_s=self._lock_timeout_s,
        )

        def ended(reason: str) -> None:
            self.connections.remove(connection)
            connection.ended(reason)

        connection.backend.on_end = ended
        self.connections.append(connection)
        return connection

    def _travel(self, caller: Caller, wake: Wake, deadline: float) -> None:
        """One way through the network."""
        arrival = self._times.now() + caller.latency()
        while self._times.now() < min(arrival, deadline):
            check(wake)
            caller.block(min(arrival, deadline))
        check(wake)
        if arrival > deadline:
            raise SourceError("postgres at model did not let us in within the time given")
