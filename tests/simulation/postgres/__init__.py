"""A model of Postgres for the simulation: what the listener's `Session` meets when no server runs.

Pure and synchronous: no clock, no I/O, no choice of its own. It is compared step by step with a real server in
`tests/simulation/test_postgres_model.py`.

`Cluster` is the server without its network; writers and strangers use it directly:

    Cluster(next_xid=, synchronous_commit=, system_identifier=, prepares=)
    .add_route(name, earliest=False)      the first checkpoint row, as `install` writes it
    .connect() -> Backend                 raises Down while the server is
    .snapshot() -> View                   pg_current_snapshot(); str() is its text
    .committed() -> list[Row]             what is in the table now
    .ever: dict[uid, Row]                 every row that was ever committed and visible, on any timeline
    .checkpoint(name) -> CheckpointRow    as committed and visible now
    .on_take_over, .on_write: list[f(CheckpointChange)]   called at that very moment
    .up, .timeline
    .crash_range, .crash(keep)            immediate crash; `keep` WAL records of (lowest, highest) survive
    .failover_range, .failover(keep)      another server, that had received `keep` records; next timeline
    .stop()                               nothing is lost
    .start()                              after each of the three
    .flush()                              the WAL writer: what was committed asynchronously is durable now
    .trigger: bool                        ALTER TABLE … DISABLE TRIGGER
    .time_index: bool                     CREATE INDEX on the time
    .checkpoint_refusal: str | None       sqlstate of every checkpoint UPDATE: 25006, 53100, 42501
    .lock_table(), .unlock_table(), .table_locked    a stranger's ACCESS EXCLUSIVE

`Backend` is one session of it:

    .begin() .savepoint(name) .rollback_to(name) .release(name) .commit(synchronous=None) .rollback()
    .begin_commit() -> bool, .end_commit()   commit in two steps: in the WAL, then visible (False: another notifying
                                          commit is between its two, try again)
    .insert(points, ids=None) -> list[Row]   one statement, autocommit outside begin; raises TableLocked
    .try_gate(shared=False) -> bool, .free_gate(shared=False)     .try_lock(key), .unlock(key)
    .listen(channel) .unlisten() .notify(channel, payload)        forged bells too
    .draw() -> int                        pg_current_xact_id()
    .replica: bool                        session_replication_role: its inserts fire no trigger
    .end()                                rolls back, frees locks; every method raises BackendEnded afterwards
    .pid, .ended, .in_transaction

`ModelServer` gives a cluster its network:

    ModelServer(cluster, times, *, lock_timeout_s=0.5)
    .connect(conninfo, wake, timeout_s=, caller: Caller) -> ModelSession    as `Session.connect`
    .refusal: Refusal | None              STARTING, FULL, LOGIN; a server that is not up refuses by itself
    .connections: list[Connection]        alive on the server, the client may not be
    Connection.terminate()                pg_terminate_backend: 57P01
    Connection.vanish()                   half-open: neither side hears the other again
    Connection.unlisten(), .discard_all() a pooler's work
    Connection.backend, .conninfo

The runtime gives two things:

    Times   now() -> float; later(at, action): call `action()` at `at`, in the order of `at`, then of the calls
    Caller  of one client thread: block(until): return at `until`, or after kick(); kick(): end block, or the next one
            if none is under way is harmless; latency() -> float: seconds one way, inf: lost, and the connection's
            direction with it
"""

from tests.simulation.postgres.backend import Backend
from tests.simulation.postgres.checkpoints import CheckpointChange, CheckpointRow
from tests.simulation.postgres.cluster import Cluster
from tests.simulation.postgres.connection import Connection
from tests.simulation.postgres.faults import BackendEnded, Down, TableLocked
from tests.simulation.postgres.network import Caller, Times
from tests.simulation.postgres.rows import Point, Row
from tests.simulation.postgres.server import ModelServer, Refusal
from tests.simulation.postgres.session import ModelSession
from tests.simulation.postgres.xids import View

__all__ = [
    "Backend",
    "BackendEnded",
    "Caller",
    "CheckpointChange",
    "CheckpointRow",
    "Cluster",
    "Connection",
    "Down",
    "ModelServer",
    "ModelSession",
    "Point",
    "Refusal",
    "Row",
    "TableLocked",
    "Times",
    "View",
]
