"""The facts about Grafana's buffer that the keyframes rest on, with messages written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.judge import Answer, Look, judge, unable
from tests.browser.world import Grafana

pytestmark = pytest.mark.skipif(unable() is not None, reason=unable() or "")

FLAG_0 = b'_0="",'
FLAG_1 = b'_1="",'
PAGE = 1


class Browser(Grafana):
    """One page with one panel on one channel.

    Args:
        options: of the panel's buffer.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.tell("open", PAGE, "panel", {"maxLength": 1_000} | options)
        self.subscribe(PAGE)

    def look(self) -> Look:
        """What the panel shows after all that was pushed."""
        answer = self.answer()
        assert answer.faults == []
        return answer.looks[-1]

    def answer(self) -> Answer:
        self.tell("look", 0, [PAGE])
        return judge([self.commands])[0]


def message(flag: bytes, *times_ms: int) -> bytes:
    """Rows whose value is their time, the flag in the first of them."""
    lines = [b"value=%d %d000000" % (time, time) for time in times_ms]
    return b"m " + flag + b"\nm ".join(lines)


def test_another_flag_replaces_what_is_shown() -> None:
    """A message whose first line has another flag than the one before becomes the panel's whole content."""
    browser = Browser()
    browser.push(message(FLAG_0, 1, 2, 3))
    browser.push(message(FLAG_1, 2, 3, 4))
    look = browser.look()
    assert look.columns["time"] == look.columns["value"] == [2, 3, 4]
    assert look.columns["_1"] == ["", None, None]


def test_the_same_flag_appends() -> None:
    """Messages with the flag of the latest keyframe add their rows behind it."""
    browser = Browser()
    browser.push(message(FLAG_1, 1, 2, 3))
    browser.push(message(FLAG_1, 4))
    browser.push(message(FLAG_1, 5, 6))
    assert browser.look().columns["time"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("flag", [b"", FLAG_0])
def test_a_message_with_another_flag_or_none_wipes_the_history(flag: bytes) -> None:
    """A delta without the flag, or with an older one, is all that is left."""
    browser = Browser()
    browser.push(message(FLAG_1, 1, 2, 3))
    browser.push(message(flag, 4))
    look = browser.look()
    assert look.columns["time"] == [4]
    assert look.shortest == 1


def test_a_keyframe_with_the_flag_that_was_seen_last_repeats_rows_until_the_next() -> None:
    """Why a connection opens with two keyframes: the first one's flag may be the one that is on show."""
    browser = Browser()
    browser.push(message(FLAG_0, 1, 2))
    browser.push(message(FLAG_0, 1, 2))
    assert browser.look().columns["time"] == [1, 2, 1, 2]
    browser.push(message(FLAG_1, 1, 2))
    assert browser.look().columns["time"] == [1, 2]


def test_after_a_lost_connection_the_cached_message_comes_again() -> None:
    """A browser that reconnects appends the cached message, or is left with it alone, until the next keyframe."""
    browser = Browser()
    browser.push(message(FLAG_0, 1, 2))
    browser.push(message(FLAG_0, 3))
    browser.lose(PAGE)
    browser.subscribe(PAGE)
    assert browser.look().columns["time"] == [1, 2, 3, 3]
    browser.lose(PAGE)
    browser.push(message(FLAG_1, 1, 2, 3))
    browser.push(message(FLAG_1, 4))
    browser.subscribe(PAGE)
    assert browser.look().columns["time"] == [4]
    browser.push(message(FLAG_0, 1, 2, 3, 4))
    assert browser.look().columns["time"] == [1, 2, 3, 4]


def test_rows_of_one_millisecond_are_all_kept() -> None:
    """Inside a message and across messages, in the order in which they came (Grafana 9.4 merges them in a message)."""
    browser = Browser()
    browser.push(b'm _0="",value=1 1000000\nm value=2 1000001\nm value=3 1000002')
    browser.push(b'm _0="",value=4 1000003')
    assert browser.look().columns == {
        "time": [1, 1, 1, 1],
        "_0": ["", None, None, ""],
        "value": [1, 2, 3, 4],
    }


def test_a_short_message_is_sorted() -> None:
    """The buffer sorts the rows of a message of up to 100 rows, and never those of different messages."""
    browser = Browser()
    browser.push(message(FLAG_0, 3, 1, 2))
    browser.push(message(FLAG_0, 0))
    look = browser.look()
    assert look.columns["time"] == look.columns["value"] == [1, 2, 3, 0]


def test_a_long_message_must_be_in_order() -> None:
    """Above 100 rows the buffer decides by about 50 of them whether it has to sort: one row out of order stays so."""
    times = [*range(1, 500), 502, 501, *range(503, 1_000)]
    browser = Browser()
    browser.push(message(FLAG_0, *times))
    assert browser.look().columns["time"] == times


def test_a_panel_shorter_than_the_window_shows_its_newest_rows() -> None:
    """``maxDataPoints`` below N cuts off the oldest rows; at least 1."""
    browser = Browser(maxLength=3)
    browser.push(message(FLAG_0, *range(1, 11)))
    browser.push(message(FLAG_1, *range(2, 12)))
    assert browser.look().columns["time"] == [9, 10, 11]


def test_a_range_shorter_than_the_window_cuts_off_its_oldest_rows() -> None:
    """What is older than the newest row by more than the dashboard's range goes, to the nearest row."""
    browser = Browser(maxDelta=300)
    browser.push(message(FLAG_0, *range(100, 1_100, 100)))
    assert browser.look().columns["time"] == [700, 800, 900, 1_000]


def test_a_message_longer_than_the_page_s_buffer_leaves_a_gap_until_the_next_keyframe() -> None:
    """A panel of L rows gets only the last R - L of a delta of L < R < 2 L rows, behind the old ones it has.

    Grafana: ``getValuesFromLastPacket`` slices from ``L - R``; a negative start counts from the end.
    """
    browser = Browser(maxLength=200)
    browser.push(message(FLAG_0, *range(1, 201)))
    browser.push(message(FLAG_0, *range(201, 501)))
    assert browser.look().columns["time"] == [*range(101, 201), *range(401, 501)]
    browser.push(message(FLAG_1, *range(301, 501)))
    assert browser.look().columns["time"] == list(range(301, 501))


def test_texts_may_come_first() -> None:
    """A text column before the numbers, nulls in the first line, and the flag among them: same schema, all kept."""
    browser = Browser()
    browser.push(b'm _0="",A="",a="x, y",value="NaN" 1000000\nm A="z",a="",value=2 2000000')
    browser.push(b'm _0="",A="NaN ",a="",value=3 3000000')
    assert browser.look().columns == {
        "time": [1, 2, 3],
        "A": ["", "z", "NaN "],
        "_0": ["", None, ""],
        "a": ["x, y", "", ""],
        "value": [None, 2, 3],
    }


def test_a_null_in_the_first_line_of_a_text_wipes_the_history() -> None:
    """``"NaN"`` makes the text column a number column for this message: another schema."""
    browser = Browser()
    browser.push(b'm _0="",a="x",value=1 1000000')
    browser.push(b'm _0="",a="NaN",value=2 2000000')
    assert browser.look().columns["time"] == [2]


def test_a_field_that_the_first_line_lacks_changes_the_order_and_wipes_the_history() -> None:
    """Columns stand in the order of first appearance; another order is another schema."""
    browser = Browser()
    browser.push(b'm _0="",a=1,b="NaN" 1000000\nm b=2 2000000')
    browser.push(b'm _0="",b=3 3000000\nm a=4 4000000')
    assert browser.look().columns["time"] == [3, 4]


def test_defaults_in_front_of_the_line_s_own_fields_keep_the_history() -> None:
    """Of two equal names in a line the last one counts, so a first line may begin with nulls for all fields."""
    browser = Browser()
    browser.push(b'm _0="",a="NaN",b="NaN",b=1 1000000\nm a=2 2000000')
    browser.push(b'm _0="",a="NaN",b="NaN",a=3 3000000')
    assert browser.look().columns == {
        "time": [1, 2, 3],
        "_0": ["", None, ""],
        "a": [None, 2, 3],
        "b": [1, None, None],
    }


def test_with_tags_a_flag_kills_the_panel() -> None:
    """Why routes with tags have no window: the second tag set and a changed schema do not fit together."""
    browser = Browser()
    browser.push(b'm,s=x _0="",value=1 1000000\nm,s=y value=2 1000000')
    browser.push(b'm,s=x _1="",value=1 2000000\nm,s=y value=2 2000000')
    assert any("push message mismatch" in fault for fault in browser.answer().faults)


def test_a_filter_hides_the_flag() -> None:
    """``filter.fields`` of the target: keyframes and deltas arrive, the flag does not."""
    browser = Browser(fields=["time", "value"])
    browser.push(message(FLAG_0, 1, 2))
    browser.push(message(FLAG_1, 2, 3))
    browser.push(message(FLAG_1, 4))
    assert browser.look().columns == {"time": [2, 3, 4], "value": [2, 3, 4]}
