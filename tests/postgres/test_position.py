"""Positions against a small model of Postgres' visibility that knows nothing of how positions are made."""

import re
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trio_bridge.errors import SourceError
from trio_bridge.postgres.position import Position, RowMark, Snapshot, Span

FIRST_XID = 700


class Server:
    """Transactions that insert rows and end in any order; what a snapshot saw is kept, never computed from its text."""

    def __init__(self):
        self.next_xid = FIRST_XID
        self.latest_ended = FIRST_XID - 1
        self.running: set[int] = set()
        self.committed: set[int] = set()
        self.rows: list[tuple[int, int]] = []
        self.seen_by: dict[str, frozenset[int]] = {}

    def begin(self):
        xid = self.next_xid
        self.next_xid += 1
        self.running.add(xid)
        return xid

    def insert(self, xid, key):
        self.rows.append((xid, key))

    def end(self, xid, *, commit):
        self.running.remove(xid)
        self.latest_ended = max(self.latest_ended, xid)
        if commit:
            self.committed.add(xid)

    def snapshot(self):
        # As GetSnapshotData does: xmax is one past the latest that ended, not the next one to be handed out.
        xmax = self.latest_ended + 1
        xip = sorted(xid for xid in self.running if xid < xmax)
        text = f"{min(xip, default=xmax)}:{xmax}:{','.join(map(str, xip))}"
        self.seen_by[text] = frozenset(self.committed)
        return text

    def delta(self, position, limit):
        """One page, by what both snapshots saw; (target's text, rows)."""
        target = str(position.target) if position.target else self.snapshot()
        fresh = self.seen_by[target] - self.seen_by[str(position.snapshot)]
        after = (position.after.txid, int(position.after.key[0])) if position.after else (0, 0)
        rows = sorted(row for row in self.rows if row[0] in fresh and row > after)
        return target, rows[:limit]

    def delta_by_scans(self, position, target, limit):
        """The same page as the statement that `Position.span` names would read it."""
        visible = self.seen_by[target]
        after = (position.after.txid, int(position.after.key[0])) if position.after else (0, 0)
        in_flight, ahead = [], []
        for row in sorted(self.rows):
            if row[0] not in visible:
                continue
            if row[0] in position.snapshot.xip and (position.span is Span.FIRST or row > after):
                in_flight.append(row)
            if row > after if position.span is Span.AHEAD else row[0] >= position.snapshot.xmax:
                ahead.append(row)
        return ((in_flight if position.span is not Span.AHEAD else []) + ahead)[:limit]


class Reader:
    """Follows a server page by page; may fall back to any position that it has been at."""

    def __init__(self, server):
        self.server = server
        self.position = Position(Snapshot.parse(server.snapshot()))
        self.been_at = [self.position]
        self.delivered: list[tuple[int, int]] = []

    def read_page(self, limit):
        before = self.position
        text, rows = self.server.delta(before, limit)
        assert rows == self.server.delta_by_scans(before, text, limit)
        last = RowMark(rows[-1][0], (str(rows[-1][1]),)) if rows else None
        more = len(rows) == limit
        self.position = before.advanced(Snapshot.parse(text), last, more=more)
        assert (self.position.target is None) is (self.position.after is None) is (not more)
        self.delivered += rows
        self.been_at.append(self.position)
        return more

    def restart(self, checkpoint):
        # What the checkpoint's row holds is text.
        kept = self.been_at[checkpoint % len(self.been_at)]
        target = Snapshot.parse(str(kept.target)) if kept.target else None
        self.position = Position(Snapshot.parse(str(kept.snapshot)), target, kept.after)
        assert self.position == kept
        del self.been_at[checkpoint % len(self.been_at) + 1 :]

    def catch_up(self, limit):
        while self.read_page(limit):
            pass


NUMBERS = st.integers(0, 1_000)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), NUMBERS),
        st.tuples(st.just("insert"), NUMBERS),
        st.tuples(st.just("commit"), NUMBERS),
        st.tuples(st.just("abort"), NUMBERS),
        st.tuples(st.just("page"), st.integers(1, 4)),
        st.tuples(st.just("restart"), NUMBERS),
    ),
    max_size=120,
)


def play(steps, *, restarts, old_transactions):
    """Run `steps` and read to the end; the server and the reader."""
    server = Server()
    for _ in range(old_transactions):
        server.begin()
    reader = Reader(server)
    # Keys fall: no row's place may follow from its key.
    keys = iter(range(10_000, 0, -1))
    for step, number in steps:
        running = sorted(server.running)
        match step:
            case "begin":
                server.insert(server.begin(), next(keys))
            case "insert" if running:
                server.insert(running[number % len(running)], next(keys))
            case "commit" | "abort" if running:
                server.end(running[number % len(running)], commit=step == "commit")
            case "page":
                reader.read_page(number)
            case "restart" if restarts:
                reader.restart(number)
    # First what was under way, then what was committed since its target.
    reader.catch_up(3)
    reader.catch_up(3)
    return server, reader


def committed_rows(server):
    return sorted(row for row in server.rows if row[0] in server.committed)


@settings(max_examples=400, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, old_transactions=st.integers(0, 3))
def test_without_interruption_every_committed_row_comes_exactly_once(steps, old_transactions):
    """Whatever order transactions end in and however pages fall: each committed row once, no other ever."""
    server, reader = play(steps, restarts=False, old_transactions=old_transactions)
    assert sorted(reader.delivered) == committed_rows(server)


@settings(max_examples=400, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, old_transactions=st.integers(0, 3))
def test_after_restarts_from_any_checkpoint_no_committed_row_is_missing(steps, old_transactions):
    """Going back to any earlier position may repeat rows, but loses none and shows none that was not committed."""
    server, reader = play(steps, restarts=True, old_transactions=old_transactions)
    assert sorted(set(reader.delivered)) == committed_rows(server)


def test_a_transaction_that_commits_late_is_delivered_before_newer_ones():
    """A row whose id is older than what was delivered long ago still comes; its page is the first of the delta."""
    server = Server()
    late, early = server.begin(), server.begin()
    server.insert(late, 1)
    server.insert(early, 2)
    server.end(early, commit=True)
    reader = Reader(server)
    new = server.begin()
    server.insert(new, 3)
    server.end(new, commit=True)
    server.end(late, commit=True)
    reader.catch_up(1)
    assert reader.delivered == [(late, 1), (new, 3)]


def test_a_position_survives_a_restart_in_the_midst_of_a_delta():
    """A catch-up that is cut again and again still gets on: it goes on behind the last checkpointed page."""
    server = Server()
    reader = Reader(server)
    xid = server.begin()
    for key in range(1, 8):
        server.insert(xid, key)
    server.end(xid, commit=True)
    for page in range(1, 4):
        reader.read_page(2)
        reader.restart(page)
    reader.catch_up(2)
    assert reader.delivered == [(xid, key) for key in range(1, 8)]


# Spans.


@pytest.mark.parametrize(
    ("after", "span"),
    [
        (None, Span.FIRST),
        (RowMark(12, ("9",)), Span.IN_FLIGHT),
        (RowMark(19, ("9",)), Span.IN_FLIGHT),
        (RowMark(20, ("1",)), Span.AHEAD),
        (RowMark(21, ("1",)), Span.AHEAD),
    ],
)
def test_the_span_changes_at_xmax(after, span):
    """Both scans first; the in-flight one until a row at or above the snapshot's xmax has been handed on."""
    target = Snapshot(30, 30) if after else None
    assert Position(Snapshot(12, 20, (12, 19)), target, after).span is span


# What `advanced` refuses.


SNAPSHOT = Snapshot(10, 20, (10, 15))
TARGET = Snapshot(25, 30, (25,))


def test_a_delta_that_changes_its_target_is_refused():
    """Pages of one delta share a snapshot: rows between two of them would be lost."""
    position = Position(SNAPSHOT, TARGET, RowMark(15, ("1",)))
    for more in (True, False):
        with pytest.raises(SourceError, match=r"^the delta changed its target from 25:30:25 to 26:30:$"):
            position.advanced(Snapshot(26, 30), RowMark(16, ("1",)), more=more)


def test_more_rows_without_a_row_are_refused():
    """An empty page that is not the last one leaves nothing to go on from."""
    with pytest.raises(SourceError, match=r"^the delta promised more rows and gave none$"):
        Position(SNAPSHOT).advanced(TARGET, None, more=True)


def test_a_delta_that_goes_back_is_refused():
    """Rows come in the order of their transactions; one that does not was read by another statement."""
    position = Position(SNAPSHOT, TARGET, RowMark(22, ("1",)))
    with pytest.raises(SourceError, match=r"^the delta went back from transaction 22 to 15$"):
        position.advanced(TARGET, RowMark(15, ("1",)), more=True)


def test_a_transaction_may_fill_several_pages():
    """The next page may end in the same transaction as the last."""
    position = Position(SNAPSHOT, TARGET, RowMark(22, ("1",)))
    assert position.advanced(TARGET, RowMark(22, ("2",)), more=True).after == RowMark(22, ("2",))


@pytest.mark.parametrize("txid", [9, 14, 19, 25, 30, 31])
def test_a_row_that_is_not_in_the_delta_is_refused(txid):
    """Seen before, in progress at the target, or from after it: none of these may end a page."""
    with pytest.raises(SourceError, match=f"^the delta returned transaction {txid}, which is not in it$"):
        Position(SNAPSHOT).advanced(TARGET, RowMark(txid, ("1",)), more=True)


@pytest.mark.parametrize("txid", [10, 15, 20, 24, 26, 29])
def test_a_row_of_the_delta_is_taken(txid):
    """In progress then and ended now, or begun and ended since."""
    advanced = Position(SNAPSHOT).advanced(TARGET, RowMark(txid, ("1",)), more=True)
    assert advanced == Position(SNAPSHOT, TARGET, RowMark(txid, ("1",)))


def test_the_last_page_makes_the_target_the_snapshot():
    """Nothing of the delta is left over, whether the last page had rows or none."""
    position = Position(SNAPSHOT, TARGET, RowMark(22, ("1",)))
    assert position.advanced(TARGET, RowMark(23, ("1",)), more=False) == Position(TARGET)
    assert position.advanced(TARGET, None, more=False) == Position(TARGET)


# Text.


@given(st.lists(st.integers(1, 2**64 - 1), unique=True, min_size=1, max_size=60).map(sorted), st.booleans())
def test_a_snapshot_is_its_text(xids, has_xip):
    """What Postgres writes is read and written back the same, with all 64 bits."""
    text = f"{xids[0]}:{xids[-1]}:{','.join(map(str, xids[:-1])) if has_xip else ''}"
    snapshot = Snapshot.parse(text)
    assert str(snapshot) == text
    assert snapshot == Snapshot(xids[0], xids[-1], tuple(xids[:-1]) if has_xip else ())


def is_snapshot(text):
    """Postgres' own rules for its text form, told another way."""
    if not re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*:([1-9][0-9]*(,[1-9][0-9]*)*)?", text):
        return False
    xmin, xmax, *xip = map(int, re.findall("[0-9]+", text))
    return xmin <= xmax and xip == sorted(set(xip)) and all(xmin <= xid < xmax for xid in xip)


JUNK = """
    : :: 1 1:2 1:2:3:4 a:2: 0:2: 3:2: -1:2: +1:2: 01:2: 1_0:20: 1.0:2: \u0661:2: 1:2:x 1:2:0
    1:3:2, 1:3:,2 1:9:1,,2 1:9:5,3 1:9:3,3 5:9:4 5:9:9
"""


@pytest.mark.parametrize(
    "text",
    [*JUNK.split(), "", " 1:2:", "1:2: ", "1:2:\n", "1: 2:", "9" * 5_000 + ":1:", "1:" + "9" * 5_000 + ":"],
)
def test_junk_is_no_snapshot(text):
    """Every text that Postgres would not write is refused in one short line."""
    with pytest.raises(SourceError, match="not a pg_snapshot") as refused:
        Snapshot.parse(text)
    assert len(str(refused.value)) < 120


@given(st.text("0123456789:,- _+x", max_size=14) | st.from_regex(r"\A[1-9]:[1-9]{1,2}:([1-9](,[1-9])*)?\Z"))
def test_parse_takes_what_postgres_writes_and_nothing_else(text):
    """Taken or refused exactly by Postgres' rules."""
    try:
        taken = str(Snapshot.parse(text)) == text
    except SourceError:
        taken = False
    assert taken is is_snapshot(text)


@given(st.sets(st.integers(1, 40)), st.integers(1, 60))
def test_a_snapshot_sees_what_had_ended(running, xid):
    """Below xmax and not in progress."""
    server = Server()
    begun = [server.begin() for _ in range(40)]
    for number, other in enumerate(begun, start=1):
        if number not in running:
            server.end(other, commit=True)
    snapshot = Snapshot.parse(server.snapshot())
    assert snapshot.sees(FIRST_XID + xid - 1) is (xid <= 40 and xid not in running)
    assert all(lower < higher for lower, higher in pairwise(snapshot.xip))
