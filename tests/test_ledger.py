"""The books close after every entry; the model follows each row by itself."""

import dataclasses
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trio_bridge.ledger import CAUSES, Cause, Ledger, LedgerStatistics

REASONS = st.sampled_from(["time_missing", "too_large", "not_json"])
EMPTY = LedgerStatistics(
    seen=0,
    acknowledged=0,
    rejected={},
    returned=0,
    pending=0,
    nulled={},
    messages=0,
    bytes=0,
    keyframes=0,
    gaps=0,
    failures={},
)


class Books(RuleBasedStateMachine):
    """A route's life, row by row: each row has one word that says what has become of it."""

    def __init__(self):
        super().__init__()
        self.ledger = Ledger()
        self.rows: list[str] = []
        self.nulled: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.failures: Counter[Cause] = Counter()
        self.earlier: list[tuple[LedgerStatistics, dict[str, object]]] = []

    def settle(self, rows, fate):
        pending = [number for number, word in enumerate(self.rows) if word == "pending"]
        for number in pending[:rows]:
            self.rows[number] = fate

    @property
    def pending(self):
        return self.rows.count("pending")

    @rule(rows=st.integers(0, 50))
    def saw(self, rows):
        self.ledger.saw(rows)
        self.rows += ["pending"] * rows

    @precondition(lambda self: self.pending)
    @rule(reason=REASONS)
    def rejected(self, reason):
        self.ledger.rejected(reason)
        self.settle(1, f"rejected {reason}")

    @rule(data=st.data())
    def acknowledged(self, data):
        rows = data.draw(st.integers(0, self.pending))
        self.ledger.acknowledged(rows)
        self.settle(rows, "acknowledged")

    @rule(cause=st.none() | st.sampled_from(CAUSES))
    def run_ended(self, cause):
        self.ledger.run_ended(cause)
        self.settle(self.pending, "returned")
        self.failures.update([cause] if cause else [])

    @rule(reason=REASONS, times=st.integers(1, 5))
    def nulled_some(self, reason, times):
        self.ledger.nulled(reason, times)
        self.nulled[reason] += times

    @rule(reason=REASONS)
    def nulled_one(self, reason):
        self.ledger.nulled(reason)
        self.nulled[reason] += 1

    @rule(size=st.integers(0, 65_536))
    def sent(self, size):
        self.ledger.sent(size)
        self.counts["messages"] += 1
        self.counts["bytes"] += size

    @rule()
    def keyframe(self):
        self.ledger.keyframe()
        self.counts["keyframes"] += 1

    @rule()
    def gap(self):
        self.ledger.gap()
        self.counts["gaps"] += 1

    @rule()
    def look(self):
        statistics = self.ledger.statistics()
        self.earlier.append((statistics, dataclasses.asdict(statistics)))

    @invariant()
    def every_row_is_in_one_place(self):
        """What the books say is what became of the rows, one by one, and they close."""
        words = Counter(self.rows)
        statistics = self.ledger.statistics()
        assert statistics == LedgerStatistics(
            seen=len(self.rows),
            acknowledged=words["acknowledged"],
            rejected={
                word.removeprefix("rejected "): count
                for word, count in words.items()
                if word.startswith("rejected ")
            },
            returned=words["returned"],
            pending=words["pending"],
            nulled=dict(self.nulled),
            messages=self.counts["messages"],
            bytes=self.counts["bytes"],
            keyframes=self.counts["keyframes"],
            gaps=self.counts["gaps"],
            failures=dict(self.failures),
        )
        assert statistics.balanced
        assert statistics.restarts == self.failures.total()

    @invariant()
    def a_moment_stays_as_it_was(self):
        """What was read is not changed by later entries."""
        for statistics, before in self.earlier:
            assert dataclasses.asdict(statistics) == before


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)


def test_new_books_are_empty_and_balanced():
    """Nothing has happened, and that adds up."""
    assert Ledger().statistics() == EMPTY
    assert EMPTY.balanced


@pytest.mark.parametrize(
    "wrong",
    [{"seen": 1}, {"acknowledged": 1}, {"rejected": {"time_missing": 1}}, {"returned": 1}, {"pending": -1}],
    ids=str,
)
def test_books_that_do_not_close_are_not_balanced(wrong):
    """The check can fail: one row too many anywhere is seen."""
    assert not dataclasses.replace(EMPTY, **wrong).balanced


def test_a_row_counted_twice_shows():
    """An acknowledgement of more rows than are pending closes the sum and shows in `pending`."""
    ledger = Ledger()
    ledger.saw(1)
    ledger.acknowledged(2)
    assert ledger.statistics().pending == -1
