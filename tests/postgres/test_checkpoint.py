"""The checkpoint: taken over, written, fenced, and refused where it means nothing."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.pg import Database
from tests.postgres.eye import ANSWER_S, EARLIEST, Eye, now, opened, value
from trio_bridge.config.names import TableName
from trio_bridge.errors import ConfigError
from trio_bridge.postgres.catalogue import read_cluster
from trio_bridge.postgres.checkpoint import Checkpoint, Fenced
from trio_bridge.postgres.install import install
from trio_bridge.postgres.position import Position, RowMark, Snapshot
from trio_bridge.postgres.session import Session, StatementRefused

T = TableName("public", "t")
ROUTE = 'it\'s "a" route'


@pytest.fixture
def installed(database: Database) -> Database:
    """A database with a watched table t (text key) and a route."""
    database.execute("CREATE TABLE t (id text PRIMARY KEY, v int)")
    install(database.dsn, T, routes=[ROUTE])
    return database


def _take(session: Session, name: str = ROUTE) -> tuple[Checkpoint, Position]:
    return Checkpoint.take_over(session, name, read_cluster(session, timeout_s=ANSWER_S), timeout_s=ANSWER_S)


def _set(database: Database, assignment: str) -> None:
    database.execute(f"UPDATE trio_bridge.checkpoint SET {assignment}")


@pytest.mark.fault(101)
def test_take_over_fences_who_led_before(installed: Database) -> None:
    """Each take-over begins an epoch; a write of an earlier one fails, says so and changes nothing."""
    with opened(installed.dsn) as first, opened(installed.dsn) as second:
        old, start = _take(first)
        old.write(first, now(first), timeout_s=ANSWER_S)
        new, position = _take(second)
        assert int(new.epoch) == int(old.epoch) + 1
        assert position.snapshot.xmax >= start.snapshot.xmax
        with pytest.raises(Fenced, match="another bridge has taken route"):
            old.write(first, EARLIEST, timeout_s=ANSWER_S)
        new.write(second, now(second), timeout_s=ANSWER_S)
        assert _take(second)[1] != EARLIEST


def test_leader_goes_on_while_a_standby_waits(installed: Database) -> None:
    """A standby that looked at the server long ago takes over from a checkpoint that has gone on since."""
    with opened(installed.dsn) as leader, opened(installed.dsn) as standby:
        cluster = read_cluster(standby, timeout_s=ANSWER_S)
        led, _ = _take(leader)
        for number in range(5):
            installed.execute("INSERT INTO t VALUES (%s)", str(number))
        written = now(leader)
        led.write(leader, written, timeout_s=ANSWER_S)
        _, position = Checkpoint.take_over(standby, ROUTE, cluster, timeout_s=ANSWER_S)
        assert position == written


REFUSED = {
    "system_identifier = 42": r"was written in another cluster \(system identifier 42, here \d+\): its transaction ids "
    r"mean nothing here. Delete the row from trio_bridge.checkpoint and run `trio-bridge install --start now` or "
    r"`--start earliest`\. Only after pg_upgrade, which keeps the ids: UPDATE trio_bridge\.checkpoint SET "
    r"system_identifier = \d+$",
    "format = 2": "is of format 2, this program knows 1: upgrade it$",
    "snapshot = '900000000:900000000:'": r"lies in the future of this cluster \(transaction 900000000, next is \d+\): "
    r"it was changed by hand or restored from elsewhere$",
    "target = '900000000:900000000:', after_txid = '900', after_key = '{1}'": "lies in the future",
    "target = '5:5:', after_txid = '900', after_key = '{1}'": "contradicts itself: transaction 900 is not between its "
    r"two snapshots\. It was changed by hand$",
}


@pytest.mark.parametrize("change", REFUSED)
@pytest.mark.fault(96, 121)
def test_refused(installed: Database, change: str) -> None:
    """A checkpoint that means nothing here is refused with its reason and never changed."""
    _set(installed, change)
    before = installed.execute("SELECT snapshot, target, after_txid, after_key FROM trio_bridge.checkpoint")
    with (
        opened(installed.dsn) as session,
        pytest.raises(ConfigError, match="^the checkpoint of route .* " + REFUSED[change]),
    ):
        _take(session)
    after = installed.execute("SELECT snapshot, target, after_txid, after_key FROM trio_bridge.checkpoint")
    assert after == before


@pytest.mark.fault(95)
def test_other_columns(installed: Database) -> None:
    """A table that is not ours any more ends the start with what to do; what is no fault of its shape does not."""
    with opened(installed.dsn) as session:
        session.query("SET default_transaction_read_only = on", timeout_s=ANSWER_S)
        with pytest.raises(StatementRefused) as refused:
            _take(session)
        assert refused.value.sqlstate == "25006"
        installed.execute("ALTER TABLE trio_bridge.checkpoint RENAME target TO goal")
        with pytest.raises(
            ConfigError,
            match=r"^trio_bridge\.checkpoint is not as `trio-bridge install` makes it \(.*\): put it right, or drop it "
            r"and run `trio-bridge install` for each table, with `--start now` or `--start earliest`$",
        ):
            _take(session)


def test_missing_row(installed: Database) -> None:
    """No row: the command that makes one, never a silent start from now."""
    with (
        opened(installed.dsn) as session,
        pytest.raises(ConfigError, match=r"no checkpoint.*trio-bridge install"),
    ):
        _take(session, "unknown")


@pytest.mark.fault(96)
def test_corrupt_text_cannot_be_stored(installed: Database) -> None:
    """The types and the check of the table keep out what is no position."""
    for change in (
        "snapshot = 'nonsense'",
        "snapshot = '9:3:'",
        "target = '5:5:'",
        "after_txid = '3'",
        "snapshot = NULL",
    ):
        with opened(installed.dsn) as session, pytest.raises(StatementRefused):
            session.query(f"UPDATE trio_bridge.checkpoint SET {change}", timeout_s=ANSWER_S)


@pytest.mark.fault(100)
def test_older_checkpoint_repeats(installed: Database) -> None:
    """A checkpoint restored from a backup repeats rows and loses none."""
    with opened(installed.dsn) as session:
        eye = Eye(session, T)
        checkpoint, eye.position = _take(session)
        ((backup,),) = installed.execute("SELECT snapshot::text FROM trio_bridge.checkpoint")
        installed.execute("INSERT INTO t VALUES ('a')")
        assert eye.values("id") == ["a"]
        checkpoint.write(session, eye.position, timeout_s=ANSWER_S)
        installed.execute("INSERT INTO t VALUES ('b')")
        _set(installed, f"snapshot = '{backup}'")
        _, eye.position = _take(session)
        assert eye.values("id") == ["a", "b"]


HARD_KEYS = [
    "",
    "NULL",
    "null",
    '"',
    "\\",
    "{a,b}",
    "a,b",
    "it's",
    "\n\t\r",
    "ä€𝄞\u2028",
    " ",
    '\\"',
    "{}",
    "$1",
]


def test_positions_come_back_as_written(installed: Database) -> None:
    """A position in the middle of a delta comes back exactly, whatever its key's text; reading goes on behind it."""
    with opened(installed.dsn) as session:
        eye = Eye(session, T)
        for number, key in enumerate(HARD_KEYS * 2):
            installed.execute(
                "INSERT INTO t VALUES (%s, %s)", key if number < len(HARD_KEYS) else key + "x", number
            )
        expected = [key for (key,) in installed.execute("SELECT id FROM t ORDER BY txid, id")]
        read: list[str] = []
        while True:
            delta = eye.page()
            read += delta.keys
            checkpoint, _ = _take(session)
            checkpoint.write(session, eye.position, timeout_s=ANSWER_S)
            _, eye.position = _take(session)
            assert eye.position == delta.position
            if not delta.more:
                break
        assert read == expected
        assert len(eye.pages) > 1


@example(keys=HARD_KEYS)
@given(keys=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
@settings(
    max_examples=60,
    deadline=None,
    # The database is one for all examples: each writes the same row anew.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_key_comes_back(installed: Database, keys: list[str]) -> None:
    """Keys of any number of columns and any text survive."""
    with opened(installed.dsn) as session:
        checkpoint, _ = _take(session)
        seen = now(session)
        target = Snapshot(seen.snapshot.xmin, seen.snapshot.xmax)
        position = Position(Snapshot(3, 3), target, RowMark(target.xmax - 1, tuple(keys)))
        checkpoint.write(session, position, timeout_s=ANSWER_S)
        assert _take(session)[1] == position


@pytest.mark.fault(97)
def test_locked_table(installed: Database) -> None:
    """Somebody's LOCK TABLE is an answer within a heartbeat, not a dead connection; later the write works."""
    with opened(installed.dsn) as session:
        checkpoint, _ = _take(session)
        with installed.connect(autocommit=False) as other:
            other.execute("LOCK TABLE trio_bridge.checkpoint")
            began = time.monotonic()
            with pytest.raises(StatementRefused) as refused:
                checkpoint.write(session, now(session), timeout_s=1.5)
            assert time.monotonic() - began < 1.2
            assert refused.value.sqlstate == "55P03"
        checkpoint.write(session, now(session), timeout_s=1.5)


@pytest.mark.fault(98, 99)
def test_not_to_be_written(installed: Database) -> None:
    """Read only or out of disk: StatementRefused, and the session lives on."""
    with opened(installed.dsn) as session:
        checkpoint, _ = _take(session)
        session.query("SET default_transaction_read_only = on", timeout_s=ANSWER_S)
        with pytest.raises(StatementRefused) as refused:
            checkpoint.write(session, now(session), timeout_s=ANSWER_S)
        assert refused.value.sqlstate == "25006"
        session.query("SET default_transaction_read_only = off", timeout_s=ANSWER_S)
        installed.execute("""
            CREATE FUNCTION full() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE 'no space left' USING ERRCODE = '53100'; END $$;
            CREATE TRIGGER disk BEFORE UPDATE ON trio_bridge.checkpoint EXECUTE FUNCTION full();
        """)
        with pytest.raises(StatementRefused, match="no space left") as refused:
            checkpoint.write(session, now(session), timeout_s=ANSWER_S)
        assert refused.value.sqlstate == "53100"
        assert value(session, "SELECT 1") == "1"


def test_key_of_another_width(installed: Database) -> None:
    """A primary key that was changed in the middle of a delta is named, with what to do."""
    with opened(installed.dsn) as session:
        eye = Eye(session, T)
        eye.position = Position(Snapshot(3, 3), Snapshot(9, 9), RowMark(5, ("a", "b")))
        with pytest.raises(ConfigError, match="primary key was changed in the middle of a delta"):
            eye.page()
