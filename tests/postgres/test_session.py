"""The connection: how each failure is named, that no wait outlasts its limit, and what comes in during a statement."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.pg import Database
from tests.postgres.eye import ANSWER_S, attempts, opened, value
from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.errors import SourceError
from trio_bridge.handover import Wake
from trio_bridge.postgres.session import (
    CHUNK_ROWS,
    Aborted,
    ConnectionLost,
    LoginRefused,
    Session,
    StatementRefused,
)
from trio_bridge.secret import Secret


@pytest.fixture
def wake() -> Iterator[Wake]:
    wake = Wake()
    yield wake
    wake.close()


@contextmanager
def _connected(dsn: str, wake: Wake, timeout_s: float = ANSWER_S) -> Iterator[Session]:
    session = Session.connect(attempts(dsn)[0], wake, timeout_s=timeout_s)
    try:
        yield session
    finally:
        session.close()


@contextmanager
def _after(delay_s: float, act: Callable[[], object]) -> Iterator[None]:
    """Runs `act` in another thread while the block waits."""
    timer = threading.Timer(delay_s, act)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def _timed(at_most_s: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < at_most_s


@contextmanager
def _listening(backlog: int = 5) -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(backlog)
        yield server


def _dsn(server: socket.socket) -> str:
    return f"host=127.0.0.1 port={server.getsockname()[1]} user=u dbname=d sslmode=disable gssencmode=disable"


@contextmanager
def _answering(sqlstate: str, message: str) -> Iterator[str]:
    """A server that answers every start-up packet with one error; its DSN."""
    fields = f"SFATAL\0VFATAL\0C{sqlstate}\0M{message}\0\0".encode()

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = server.accept()
                with peer:
                    peer.recv(65536)
                    peer.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)

    with _listening() as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield _dsn(server)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _wait_for_ever(session: Session) -> None:
    while True:
        session.wait(time.monotonic() + 5)


class Proxy:
    """Between a session and the server, until `freeze`: from then on bytes stay where they are, both ways."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self._frozen, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.port: int = self._server.getsockname()[1]

    def freeze(self) -> None:
        self._frozen.set()
        # The thread looks every 10 ms.
        time.sleep(0.05)

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._server.close()

    def _run(self) -> None:
        client, _ = self._server.accept()
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            other = {client: server, server: client}
            while not self._stop.is_set():
                if self._frozen.is_set():
                    self._stop.wait(0.01)
                    continue
                for ready in select.select(list(other), [], [], 0.01)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    other[ready].sendall(data)


@contextmanager
def _proxied(database: Database) -> Iterator[tuple[Proxy, str]]:
    proxy = Proxy(database.server.port)
    try:
        yield proxy, database.server.dsn(database.name, port=proxy.port)
    finally:
        proxy.close()


class TestConnecting:
    """Getting in, or the reason why not."""

    def test_refused_port(self, wake: Wake) -> None:
        """A closed port is the database's trouble, to be tried again."""
        with _listening() as server:
            dsn = _dsn(server)
        with pytest.raises(SourceError, match=r"cannot connect to postgres: .*refused") as failure:
            Session.connect(dsn, wake, timeout_s=1)
        assert not isinstance(failure.value, LoginRefused)

    def test_password(self, wake: Wake) -> None:
        """A wrong or missing password is refused for good, and never repeated in the sentence."""
        with EmbeddedPostgres(password=Secret("right")) as server:
            for password in ("password=wr0ng", ""):
                with pytest.raises(LoginRefused, match="postgres refused the login") as failure:
                    Session.connect(f"{server.dsn()} {password}", wake, timeout_s=ANSWER_S)
                assert "wr0ng" not in str(failure.value)
            with _connected(f"{server.dsn()} password=right", wake) as session:
                assert value(session, "SELECT 1") == "1"
            server.stop()
            with pytest.raises(SourceError, match="cannot connect"):
                Session.connect(server.dsn(), wake, timeout_s=ANSWER_S)

    def test_unknown_names(self, database: Database, wake: Wake) -> None:
        """A database or a role that does not exist, or may not log in, is refused for good."""
        server = database.server
        database.execute(f"CREATE ROLE locked_{database.name}")
        try:
            for dsn, reason in (
                (server.dsn("nowhere"), 'database "nowhere" does not exist'),
                (server.dsn(user="nobody"), 'role "nobody" does not exist'),
                (server.dsn(user=f"locked_{database.name}"), "is not permitted to log in"),
            ):
                with pytest.raises(LoginRefused, match=reason):
                    Session.connect(dsn, wake, timeout_s=ANSWER_S)
        finally:
            database.execute(f"DROP ROLE locked_{database.name}")

    @pytest.mark.parametrize(
        ("sqlstate", "message", "for_good"),
        [
            ("57P03", "the database system is starting up", False),
            ("57P03", "the database system is shutting down", False),
            ("53300", "sorry, too many clients already", False),
            ("28000", 'pg_hba.conf rejects connection for host "127.0.0.1"', True),
            ("42704", 'unrecognized configuration parameter "idle_session_timeout"', True),
            ("08P01", "unsupported startup parameter in options: row_security", True),
        ],
    )
    def test_words_of_the_server(self, wake: Wake, sqlstate: str, message: str, for_good: bool) -> None:
        """What a server says before the login is passed on, and told apart: wait, or change something."""
        with _answering(sqlstate, message) as dsn, pytest.raises(SourceError) as failure:
            Session.connect(dsn, wake, timeout_s=ANSWER_S)
        assert message in str(failure.value)
        assert isinstance(failure.value, LoginRefused) is for_good
        assert ("pooler" in str(failure.value)) is ("startup" in message)
        assert ("must be 14" in str(failure.value)) is ("unrecognized" in message)

    def test_silent_server(self, wake: Wake) -> None:
        """A peer that accepts and says nothing is given up in time, whoever wakes us meanwhile."""
        with _listening() as server, _timed(0.6):
            wake.arm()
            with (
                _after(0.1, wake.wake),
                pytest.raises(SourceError, match=r"127\.0\.0\.1:\d+ did not let us in"),
            ):
                Session.connect(_dsn(server), wake, timeout_s=0.3)

    @pytest.mark.parametrize("end", ["deadline", "abort"])
    def test_connection_that_is_never_made(self, wake: Wake, end: str) -> None:
        """SYN packets that vanish: deadline and abort reach the attempt all the same."""
        with _listening(backlog=0) as server, contextlib.ExitStack() as stack:
            # A full backlog makes Linux drop further SYNs.
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(server.getsockname())
            with _timed(0.5):
                if end == "deadline":
                    with pytest.raises(SourceError, match="did not let us in"):
                        Session.connect(_dsn(server), wake, timeout_s=0.3)
                else:
                    with _after(0.2, wake.abort), pytest.raises(Aborted):
                        Session.connect(_dsn(server), wake, timeout_s=ANSWER_S)

    def test_abort(self, wake: Wake) -> None:
        """An abort ends a connection attempt at once, also one that came before it."""
        with _listening() as server, _timed(0.4):
            with _after(0.2, wake.abort), pytest.raises(Aborted):
                Session.connect(_dsn(server), wake, timeout_s=ANSWER_S)
            with pytest.raises(Aborted):
                Session.connect(_dsn(server), wake, timeout_s=ANSWER_S)


class TestStatements:
    """Running them, being woken, and what comes meanwhile."""

    def test_odd_texts(self, database: Database) -> None:
        """Any text comes back as it was sent; NULL is not the text NULL."""
        with opened(database.dsn) as session:
            for text in ("", "NULL", "ä€𝄞", "\x01\x7f\u2028\uffff", "it's \"\\", "x" * 3_000_000):
                assert session.query("SELECT $1::text, NULL", (text,), timeout_s=ANSWER_S) == [(text, None)]
            assert session.query(r"SELECT '\x00ff'::bytea", timeout_s=ANSWER_S) == [(r"\x00ff",)]
            assert session.query("SELECT", timeout_s=ANSWER_S) == [()]
            assert session.query("SET work_mem = '4MB'", timeout_s=ANSWER_S) == []
            with pytest.raises(StatementRefused) as refused:
                session.query("SELECT chr(0)", timeout_s=ANSWER_S)
            assert refused.value.sqlstate == "54000"

    def test_refused_statement(self, database: Database) -> None:
        """An error of Postgres carries its code and text, and the session goes on, also after a prepare or a run."""
        with opened(database.dsn) as session:
            with pytest.raises(StatementRefused, match=r"^postgres: division by zero \(22012\)$") as refused:
                session.query("SELECT 1/0", timeout_s=ANSWER_S)
            assert refused.value.sqlstate == "22012"
            with pytest.raises(StatementRefused, match="does not exist"):
                session.prepare("bad", "SELECT * FROM nowhere", timeout_s=ANSWER_S)
            session.prepare(
                "late", "SELECT 10 / (1000 - g) FROM generate_series(1, 2000) g", timeout_s=ANSWER_S
            )
            with pytest.raises(StatementRefused, match="division by zero"):
                list(session.run("late", timeout_s=ANSWER_S))
            assert value(session, "SELECT 1") == "1"

    def test_chunks(self, database: Database) -> None:
        """A prepared statement's rows come in results of bounded size, in order, none missing."""
        with opened(database.dsn) as session:
            session.prepare("rows", "SELECT generate_series(1, $1::int)", timeout_s=ANSWER_S)
            for count in (0, 1, CHUNK_ROWS, 10 * CHUNK_ROWS + 1):
                found: list[int] = []
                for result in session.run("rows", (str(count),), timeout_s=ANSWER_S):
                    assert result.ntuples <= CHUNK_ROWS
                    found += [int(result.get_value(row, 0) or 0) for row in range(result.ntuples)]
                assert found == list(range(1, count + 1))

    def test_slow_answer_is_no_silence(self, database: Database) -> None:
        """An answer that takes longer than the limit but never pauses for that long is read to its end."""
        with opened(database.dsn) as session:
            # Each row is larger than the server's send buffer, so that it comes when it is made.
            slow = "SELECT pg_sleep(0.15), repeat('x', 20000) FROM generate_series(1, 6)"
            began = time.monotonic()
            assert len(session.query(slow, timeout_s=0.5)) == 6
            assert time.monotonic() - began > 0.8
            session.prepare("slow", slow, timeout_s=ANSWER_S)
            rows = 0
            for result in session.run("slow", timeout_s=0.5):
                rows += result.ntuples
            assert rows == 6

    def test_silence(self, database: Database) -> None:
        """A statement without an answer, or a network that swallows everything, gives the connection up in time."""
        silent = pytest.raises(ConnectionLost, match=r"silent for 0.2 s")
        with opened(database.dsn) as session, _timed(0.5), silent:
            session.query("SELECT pg_sleep(5)", timeout_s=0.2)
        with _proxied(database) as (proxy, dsn), opened(dsn) as session:
            assert value(session, "SELECT 1") == "1"
            proxy.freeze()
            with _timed(0.5), pytest.raises(ConnectionLost, match=r"silent for 0.2 s"):
                session.query("SELECT 1", timeout_s=0.2)

    def test_server_that_takes_nothing_in(self, database: Database, wake: Wake) -> None:
        """A statement that cannot be sent is given up in time, without spinning when woken, and ends at an abort."""
        large = "x" * 30_000_000
        with _proxied(database) as (proxy, dsn), _connected(dsn, wake) as session:
            proxy.freeze()
            wake.arm()
            used = time.thread_time()
            with (
                _after(0.1, wake.wake),
                _timed(2),
                pytest.raises(ConnectionLost, match=r"taken nothing in for 0.5 s"),
            ):
                session.query("SELECT length($1)", (large,), timeout_s=0.5)
            assert time.thread_time() - used < 0.3
        with _proxied(database) as (proxy, dsn), _connected(dsn, wake) as session:
            proxy.freeze()
            with _after(0.3, wake.abort), _timed(2), pytest.raises(Aborted):
                session.query("SELECT length($1)", (large,), timeout_s=ANSWER_S)

    def test_woken_during_a_statement(self, database: Database, wake: Wake) -> None:
        """A wake or a drain does not disturb a statement, nor make the thread spin until it ends."""
        with _connected(database.dsn, wake) as session:
            for act in (wake.wake, wake.drain):
                wake.arm()
                used = time.thread_time()
                with _after(0.05, act):
                    assert value(session, "SELECT 1 FROM pg_sleep(0.4)") == "1"
                assert time.thread_time() - used < 0.1

    @pytest.mark.parametrize("statement", ["SELECT pg_sleep(60)", "SELECT * FROM public.t"])
    def test_abort(self, database: Database, wake: Wake, statement: str) -> None:
        """An abort ends a statement within 100 ms, and the backend soon after, also one that waits for a lock."""
        database.execute("CREATE TABLE t (a int)")
        with database.connect(autocommit=False) as holder:
            holder.execute("LOCK TABLE t")
            ended: list[float] = []

            def abort() -> None:
                ended.append(time.monotonic())
                wake.abort()

            with _connected(database.dsn, wake) as session:
                pid = session.backend_pid
                # Without a lock timeout, so that nothing but the closed connection ends the backend.
                session.query("SET lock_timeout = 0", timeout_s=ANSWER_S)
                with _after(0.2, abort), pytest.raises(Aborted):
                    session.query(statement, timeout_s=ANSWER_S)
                assert time.monotonic() - ended[0] < 0.1
            # client_connection_check_interval is one second.
            limit = time.monotonic() + 2.5
            alive = [(1,)]
            while alive and time.monotonic() < limit:
                alive = database.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid)
            assert not alive

    def test_notifications(self, database: Database, wake: Wake) -> None:
        """What is notified during a statement is found after it; what comes later ends the wait."""
        with _connected(database.dsn, wake) as session:
            session.query("LISTEN bell", timeout_s=ANSWER_S)
            with _after(0.1, lambda: database.execute("SELECT pg_notify('bell', 'ä')")):
                session.query("SELECT pg_sleep(0.3)", timeout_s=ANSWER_S)
            found = session.notifications()
            assert [(one.channel, one.payload) for one in found] == [("bell", "ä".encode())]
            assert session.notifications() == []
            with _after(0.1, lambda: database.execute("NOTIFY bell")), _timed(2):
                while not (found := session.notifications()):
                    session.wait(time.monotonic() + 5)
            assert [one.payload for one in found] == [b""]

    def test_wait(self, database: Database, wake: Wake) -> None:
        """A wait ends at its time, not before, or when woken; without a limit only when woken."""
        with _connected(database.dsn, wake) as session:
            wake.arm()
            began = time.monotonic()
            session.wait(began + 0.0501)
            assert 0.0501 <= time.monotonic() - began < 0.15
            with _after(0.05, wake.wake), _timed(1):
                session.wait(float("inf"))
            wake.arm()
            with _after(0.05, wake.abort), _timed(1), pytest.raises(Aborted):
                session.wait(float("inf"))


class TestLoss:
    """A connection that ends, told apart from a statement that fails."""

    REASON = r"lost the connection to postgres: .*terminating connection due to administrator command.*57P01"

    def test_terminated_in_a_statement(self, database: Database) -> None:
        """The backend is terminated while it works: the connection is lost, and the server's reason is given."""
        with opened(database.dsn) as session:
            kill = f"SELECT pg_terminate_backend({session.backend_pid})"
            lost = pytest.raises(ConnectionLost, match=self.REASON)
            with _after(0.1, lambda: database.execute(kill)), _timed(2), lost:
                session.query("SELECT pg_sleep(60)", timeout_s=ANSWER_S)
            with pytest.raises(ConnectionLost):
                session.query("SELECT 1", timeout_s=ANSWER_S)

    def test_terminated_while_waiting(self, database: Database) -> None:
        """The backend is terminated while we wait: the next wait says so, with the reason."""
        with opened(database.dsn) as session:
            kill = f"SELECT pg_terminate_backend({session.backend_pid})"
            lost = pytest.raises(ConnectionLost, match=self.REASON)
            with _after(0.1, lambda: database.execute(kill)), _timed(2), lost:
                _wait_for_ever(session)

    def test_terminated_before_a_statement(self, database: Database) -> None:
        """The backend is gone when the next statement is sent: the same, whichever call finds out."""
        with opened(database.dsn) as session:
            database.execute(f"SELECT pg_terminate_backend({session.backend_pid})")
            assert not database.wait_no_sessions()
            with pytest.raises(ConnectionLost, match=self.REASON):
                session.query("SELECT 1", timeout_s=ANSWER_S)
            for again in (
                lambda: session.query("SELECT 1", timeout_s=ANSWER_S),
                lambda: session.prepare("p", "SELECT 1", timeout_s=ANSWER_S),
                lambda: list(session.run("p", timeout_s=ANSWER_S)),
            ):
                with pytest.raises(ConnectionLost):
                    again()

    def test_cancelled_statement(self, database: Database) -> None:
        """A statement that was cancelled is refused; the session lives on, and a later loss has its own reason."""
        with opened(database.dsn) as session:
            cancel = f"SELECT pg_cancel_backend({session.backend_pid})"
            with _after(0.1, lambda: database.execute(cancel)), pytest.raises(StatementRefused) as refused:
                session.query("SELECT pg_sleep(60)", timeout_s=ANSWER_S)
            assert refused.value.sqlstate == "57014"
            assert value(session, "SELECT 1") == "1"
            database.execute(f"SELECT pg_terminate_backend({session.backend_pid})")
            with pytest.raises(ConnectionLost, match=self.REASON):
                _wait_for_ever(session)

    def test_idle_for_too_long(self, database: Database) -> None:
        """Postgres ends a session that sleeps: the reason is its timeout."""
        with opened(database.dsn) as session:
            session.query("SET idle_session_timeout = 50", timeout_s=ANSWER_S)
            with _timed(2), pytest.raises(ConnectionLost, match="idle-session timeout"):
                _wait_for_ever(session)

    def test_peer_that_resets(self, database: Database) -> None:
        """A connection that is cut without a word is lost as well."""
        with _proxied(database) as (proxy, dsn), opened(dsn) as session:
            assert value(session, "SELECT 1") == "1"
            proxy.close()
            with _timed(1), pytest.raises(ConnectionLost, match=r"lost the connection to postgres: .+"):
                session.query("SELECT 1", timeout_s=ANSWER_S)
