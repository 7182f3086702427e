"""The judge: each of its verdicts falls when it must, and none when all is well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from trio.testing import MockClock

from tests.simulation.live import Delivery
from tests.simulation.live import Row as Shown
from tests.simulation.oracle import Oracle
from tests.simulation.postgres import Backend, CheckpointRow, Cluster, Point, Row
from tests.simulation.reading import Place, Seen, as_line

ROUTE = "metrics"
A, B = 1, 2


class World:
    """A cluster, an oracle, and hands that do what a bridge and Grafana would do."""

    def __init__(self, *, earliest: bool = True) -> None:
        self.cluster = Cluster()
        self.writer = self.cluster.connect()
        self.before = self.insert(1)
        self.cluster.add_route(ROUTE, earliest=earliest)
        self.owners: dict[int, int] = {}
        self.oracle = Oracle(self.cluster, ROUTE, self.owners.__getitem__)
        self.sessions: dict[int, Backend] = {}
        self.sequences: dict[int, int] = {}

    def insert(self, count: int = 3) -> list[Row]:
        return self.writer.insert(
            [Point(f"2026-01-02T03:04:05.{number:03d}+00:00", number / 3, "NaN") for number in range(count)]
        )

    def lead(self, run: int) -> None:
        """A run takes over and opens a socket of the same number."""
        session = self.sessions[run] = self.cluster.connect()
        self.owners[session.pid] = run
        self.cluster.take_over(session, ROUTE)
        self.oracle.connected(run, run)
        self.sequences[run] = 0

    def send(
        self, run: int, rows: list[Row] | list[Shown], *, keyframe: bool = False, flag: str = ""
    ) -> None:
        self.sequences[run] += 1
        lines = tuple(as_line(row) if isinstance(row, Row) else row for row in rows)
        self.oracle.processed(
            Delivery(0.0, run, run, self.sequences[run], "live_metrics", lines, flag, keyframe, None)
        )

    def pong(self, run: int) -> None:
        self.oracle.ponged(run, self.sequences[run])

    def save(self, run: int, snapshot: str | None = None, after: Row | None = None) -> None:
        """Write the checkpoint, without looking whether it may be written."""
        now = str(self.cluster.snapshot()) if snapshot is None else snapshot
        cluster = self.cluster
        epoch = cluster.checkpoint(ROUTE).epoch
        position: tuple[str, str | None, int | None, tuple[str, ...] | None] = (now, None, None, None)
        if after is not None:
            old = cluster.checkpoint(ROUTE).snapshot
            position = (old, now, after.txid, (str(after.id),))
        assert cluster.write_checkpoint(self.sessions[run], ROUTE, epoch, position) is not None

    @property
    def broken(self) -> set[str]:
        return {violation.promise for violation in self.oracle.violations}


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle notes when something broke; here nothing runs."""
    monkeypatch.setattr(trio, "current_time", MockClock().current_time)


@contextmanager
def expecting(world: World, *promises: str) -> Iterator[None]:
    """Nothing was broken before; afterwards exactly these."""
    assert world.broken == set()
    yield
    assert world.broken == set(promises), world.oracle.violations


def test_a_life_in_order_breaks_nothing() -> None:
    """Delivered, answered, saved page by page; repeated after a failure what no checkpoint covered."""
    world = World()
    with expecting(world):
        rows = world.before + world.insert() + world.insert()
        world.lead(A)
        world.send(A, rows[:3])
        world.pong(A)
        world.save(A, after=rows[2])
        world.send(A, rows[3:5])
        world.sessions[A].end()
        world.lead(B)
        world.send(B, rows[3:])
        world.send(B, rows, keyframe=True)
        world.pong(B)
        world.save(B)
        world.oracle.check_lost()
        world.oracle.check_saved()
        world.oracle.check_drained(B)
        world.oracle.check_panel([as_line(row) for row in rows], 100)
        world.oracle.check_books(seen=4, acknowledged=4, others=0, pending=0, of=B.__eq__)
        assert world.oracle.repeated == 2


def test_a_row_that_nobody_delivered_is_lost() -> None:
    """Also if only a keyframe showed it; a row that the first checkpoint covers is not."""
    world = World(earliest=False)
    world.lead(A)
    rows = world.insert()
    world.send(A, rows[:2])
    with expecting(world, "lost", "early"):
        world.send(A, rows[2:], keyframe=True)
        assert world.oracle.lost() == rows[2:]
        world.oracle.check_lost()


def test_a_row_that_a_crash_took_is_not_lost() -> None:
    """Only what the table says counts, and what it lost may have been shown."""
    world = World()
    world.lead(A)
    world.writer.begin()
    rows = world.insert()
    world.writer.commit(synchronous=False)
    world.send(A, world.before + rows)
    world.cluster.crash(world.cluster.crash_range[0])
    world.cluster.start()
    with expecting(world):
        world.oracle.check_lost()
    with expecting(world, "panel"):
        world.oracle.check_panel([as_line(row) for row in world.before + rows], 100)


def test_what_was_not_committed_is_a_phantom() -> None:
    """Never, or not yet."""
    world = World()
    world.lead(A)
    world.writer.begin()
    rows = world.insert()
    with expecting(world, "phantom"):
        world.send(A, rows)
    assert len(world.oracle.violations) == 3


def test_a_changed_value_or_time_is_altered() -> None:
    """To the last digit."""
    world = World()
    (row,) = world.insert(1)
    world.lead(A)
    with expecting(world, "altered"):
        world.send(A, [as_line(row)._replace(time_ns=as_line(row).time_ns + 1_000)])


def test_a_message_that_vanished_is_told() -> None:
    """Grafana says nothing of it."""
    world = World()
    world.lead(A)
    with expecting(world, "unparsable"):
        world.oracle.processed(Delivery(0.0, A, A, 1, "", (), "", False, b"nonsense"))


def test_a_message_without_the_flag_wipes_the_panel() -> None:
    """After a keyframe every message repeats its flag; before the first, none has one."""
    world = World()
    rows = world.before + world.insert()
    world.lead(A)
    world.send(A, rows[:1])
    world.send(A, rows[:1], keyframe=True, flag="_3")
    world.send(A, rows[1:2], flag="_3")
    with expecting(world, "wiped"):
        world.send(A, rows[2:])


def test_a_run_delivers_a_row_once() -> None:
    """Nothing in a run repeats."""
    world = World()
    world.lead(A)
    world.send(A, world.before)
    with expecting(world, "twice in a run"):
        world.send(A, world.before)


def test_what_the_checkpoint_covered_is_not_delivered_again() -> None:
    """Whether its snapshot covers it, or its place inside a delta."""
    for partial in (False, True):
        world = World()
        rows = world.insert()
        world.lead(A)
        world.send(A, world.before + rows)
        world.pong(A)
        world.save(A, after=rows[1] if partial else None)
        world.sessions[A].end()
        world.lead(B)
        with expecting(world, "repeated"):
            world.send(B, rows[1:2])
        assert world.oracle.repeated == 1


def test_who_has_not_taken_over_delivers_nothing() -> None:
    """No checkpoint, no run."""
    world = World()
    with expecting(world, "repeated"):
        world.sequences[A] = 0
        world.oracle.connected(A, A)
        world.send(A, world.before)


@pytest.mark.parametrize("how", ["not sent", "not answered"])
def test_a_checkpoint_ahead_of_the_pongs_is_told(how: str) -> None:
    """Rows that are on their way, or processed but not acknowledged, must not be covered."""
    world = World()
    rows = world.before + world.insert()
    world.lead(A)
    world.send(A, rows[:2])
    world.pong(A)
    if how == "not answered":
        world.send(A, rows[2:])
    with expecting(world, "ahead"):
        world.save(A, after=rows[2])
    assert len(world.oracle.violations) == 1


def test_a_checkpoint_that_forgets_a_running_transaction_is_ahead() -> None:
    """The row of a transaction that was under way when the checkpoint was written is covered by nobody."""
    world = World()
    world.writer.begin()
    rows = world.insert()
    other = world.cluster.connect()
    other.insert([Point("2026-01-02T03:04:06+00:00", 1.0)])
    world.lead(A)
    world.send(A, world.before + [row for row in world.cluster.committed() if row not in world.before])
    world.pong(A)
    seen = world.cluster.snapshot()
    world.writer.commit()
    world.save(A, str(seen))
    assert world.broken == set()
    with expecting(world, "ahead"):
        world.save(A, f"{seen.xmax}:{seen.xmax}:")
    assert rows[0].txid in seen.xip


def test_a_checkpoint_never_goes_back() -> None:
    """Neither to a smaller snapshot nor inside a delta."""
    world = World()
    rows = world.before + world.insert()
    world.lead(A)
    world.send(A, rows)
    world.pong(A)
    world.save(A, after=rows[2])
    with expecting(world, "back"):
        world.save(A, after=rows[1])


@pytest.mark.parametrize(
    ("before", "now", "follows"),
    [
        (("5:9:5,7", None, None), ("5:9:5,7", None, None), True),
        (("5:9:5,7", None, None), ("7:12:7,10", None, None), True),
        (("5:9:5,7", None, None), ("6:12:6,7", None, None), False),
        (("5:9:5,7", None, None), ("5:8:5,7", None, None), False),
        (("5:9:5", "9:12:", (10, 3)), ("5:9:5", "9:12:", (10, 4)), True),
        (("5:9:5", "9:12:", (10, 3)), ("5:9:5", "9:12:", (9, 9)), False),
        (("5:9:5", "9:12:", (10, 3)), ("9:12:", None, None), True),
        (("5:9:5", "9:12:", (10, 3)), ("5:9:5", None, None), False),
        (("5:9:5", "9:12:", (10, 3)), ("5:9:5", "9:13:", (11, 3)), False),
    ],
)
def test_one_place_follows_another(
    before: tuple[str, str | None, tuple[int, int] | None],
    now: tuple[str, str | None, tuple[int, int] | None],
    follows: bool,
) -> None:
    """It covers all that the other covers."""

    def place(snapshot: str, target: str | None, after: tuple[int, int] | None) -> Place:
        if target is None or after is None:
            return Place.read(CheckpointRow(1, snapshot))
        return Place.read(CheckpointRow(1, snapshot, 0, target, after[0], (str(after[1]),)))

    assert place(*now).follows(place(*before)) is follows


def test_a_snapshot_is_read_as_the_manual_says() -> None:
    """Ended below xmax, but for those in the list."""
    seen = Seen.read("5:9:5,7")
    assert [xid for xid in range(3, 11) if seen.has(xid)] == [3, 4, 6, 8]


def test_who_was_replaced_writes_nothing() -> None:
    """The fence is the epoch."""
    world = World()
    world.lead(A)
    with expecting(world, "unfenced", "two leaders"):
        world.lead(B)
        world.save(A, world.cluster.checkpoint(ROUTE).snapshot)


def test_a_leader_is_not_replaced_while_its_session_lives() -> None:
    """The lock is the session's."""
    world = World()
    world.lead(A)
    with expecting(world, "two leaders"):
        world.lead(B)


def test_who_ended_well_left_nothing() -> None:
    """Whatever it delivered is in the checkpoint."""
    world = World()
    world.lead(A)
    world.send(A, world.before)
    with expecting(world, "unsaved", "undrained"):
        world.oracle.check_saved()
        world.oracle.check_drained(A)


@pytest.mark.parametrize(
    ("seen", "acknowledged", "others", "pending", "right"),
    [(1, 1, 0, 0, True), (3, 1, 1, 1, True), (2, 2, 0, 0, False), (2, 1, 0, 0, False), (1, 1, 1, -1, False)],
)
def test_books_that_do_not_close_are_told(
    seen: int, acknowledged: int, others: int, pending: int, right: bool
) -> None:
    """Against the pongs, and in themselves."""
    world = World()
    world.lead(A)
    world.send(A, world.before)
    world.pong(A)
    with expecting(world, *(() if right else ("books",))):
        world.oracle.check_books(
            seen=seen, acknowledged=acknowledged, others=others, pending=pending, of=A.__eq__
        )


@pytest.mark.parametrize(
    "wrong", ["a row too few", "a row too many", "an old row", "twice the same", "a value of its own"]
)
def test_a_panel_shows_the_last_rows(wrong: str) -> None:
    """All of them, no others, each once."""
    world = World()
    lines = [as_line(row) for row in world.insert(9)]
    shown = lines[-5:]
    with expecting(world):
        world.oracle.check_panel(shown, 5)
    match wrong:
        case "a row too few":
            shown = shown[1:]
        case "a row too many":
            shown = lines[-6:]
        case "an old row":
            shown = lines[1:2] + shown[1:]
        case "twice the same":
            shown = shown[1:2] + shown[1:]
        case _:
            shown = [*shown[:-1], shown[-1]._replace(fields=(("value", 7.0),))]
    with expecting(world, "panel"):
        world.oracle.check_panel(shown, 5)
