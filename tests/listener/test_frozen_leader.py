"""A standby ends a frozen leader's session, and no other."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
import structlog
from structlog.testing import capture_logs

from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.handover import Wake
from trio_bridge.listener import frozen_leader
from trio_bridge.listener.frozen_leader import FrozenLeader
from trio_bridge.postgres.queries import LEADER_CLASS
from trio_bridge.postgres.session import Session

KEY = -17
LEAD = f"SELECT pg_try_advisory_lock({LEADER_CLASS}, {KEY})"
STUCK = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)"


@pytest.fixture(scope="module")
def by_socket() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(unix_socket=True) as server:
        with server.connect() as admin:
            admin.execute("CREATE ROLE other LOGIN")
        yield server


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_leader, "LOOK_S", 0.02)
    monkeypatch.setattr(frozen_leader, "PATIENCE_S", 0.2)


@contextmanager
def leading(dsn: str) -> Iterator[psycopg.Connection]:
    """A session that holds the leader's lock."""
    with closing(psycopg.connect(dsn, autocommit=True)) as leader:
        leader.execute(LEAD)
        yield leader


def get_stuck(leader: psycopg.Connection) -> None:
    """Ask for more than the socket takes in, and read none of it."""
    leader.pgconn.send_query(STUCK.encode())
    leader.pgconn.flush()


def watch(dsn: str, seconds: float) -> list[str]:
    """A standby's looks for so long; what it logged."""
    with (
        capture_logs() as logs,
        closing(Wake()) as wake,
        closing(Session.connect(dsn, wake, timeout_s=5.0)) as session,
    ):
        frozen = FrozenLeader(session, KEY, answer_s=5.0, log=structlog.get_logger())
        until = time.monotonic() + seconds
        while time.monotonic() < until and not logs:
            frozen.look(time.monotonic())
            time.sleep(0.01)
    return [entry["event"] for entry in logs]


def test_a_session_stuck_in_a_write_is_ended(by_socket: EmbeddedPostgres) -> None:
    """After its patience; the lock is free then."""
    local = by_socket.dsn(host=str(by_socket.socket_directory))
    with leading(local) as leader:
        get_stuck(leader)
        assert watch(local, 10.0) == ["frozen_leader_ended"]
        with by_socket.connect() as other:
            while other.execute(LEAD).fetchone() != (True,):
                time.sleep(0.01)


def test_a_leader_that_rests_or_is_slow_over_the_network_is_left_alone(by_socket: EmbeddedPostgres) -> None:
    """An idle session is none of its business, and a slow network is the timeouts'."""
    local = by_socket.dsn(host=str(by_socket.socket_directory))
    with leading(local):
        assert watch(local, 0.6) == []
    with leading(by_socket.dsn()) as leader:
        get_stuck(leader)
        assert watch(local, 0.6) == []


def test_a_leader_of_another_role_is_named_and_left(by_socket: EmbeddedPostgres) -> None:
    """What the standby may neither see nor end, it leaves: no error, no repetition."""
    local = by_socket.dsn(host=str(by_socket.socket_directory))
    with leading(local) as leader:
        get_stuck(leader)
        assert watch(by_socket.dsn(user="other", host=str(by_socket.socket_directory)), 0.6) == []
        with by_socket.connect() as admin:
            admin.execute("GRANT pg_read_all_stats TO other")
        assert watch(by_socket.dsn(user="other", host=str(by_socket.socket_directory)), 10.0) == [
            "frozen_leader_kept"
        ]
