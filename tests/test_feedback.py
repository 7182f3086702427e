"""The way back: values are there before the wake that tells of them."""

import math

import pytest

from trio_bridge.feedback import Feedback


class Looker:
    """What the listener sees each time it is woken."""

    def __init__(self):
        self.feedback = Feedback(self.look)
        self.seen = []

    def look(self):
        self.seen.append((self.feedback.ready_at, self.feedback.sent_mark, self.feedback.acked_mark))


@pytest.fixture
def looker():
    return Looker()


def test_nothing_can_be_taken_at_first(looker):
    """Until the sender has spoken no row is asked for, and nobody is woken."""
    assert (looker.feedback.ready_at, looker.feedback.sent_mark, looker.feedback.acked_mark) == (
        math.inf,
        0,
        0,
    )
    assert looker.seen == []


def test_each_news_is_there_before_the_wake(looker):
    """Who is woken finds what it was woken for; each word changes its own value only."""
    looker.feedback.can_take_from(5.0)
    looker.feedback.sent(1)
    looker.feedback.acknowledged(1)
    looker.feedback.sent(3)
    looker.feedback.can_take_from(math.inf)
    assert looker.seen == [(5.0, 0, 0), (5.0, 1, 0), (5.0, 1, 1), (5.0, 3, 1), (math.inf, 3, 1)]


def test_what_is_known_wakes_nobody(looker):
    """The sender may repeat itself: only a new time is worth a wake."""
    looker.feedback.can_take_from(math.inf)
    looker.feedback.can_take_from(5.0)
    looker.feedback.can_take_from(5.0)
    assert looker.seen == [(5.0, 0, 0)]
