"""Deltas and keyframes: which rows of what came are new."""

from __future__ import annotations

from trio_bridge.live.intake import Delivery
from trio_bridge.live.keyframes import DeltaFilter
from trio_bridge.live.lines import parse


def delivery(text: str, connection: int = 1) -> Delivery:
    points = tuple(parse(text.encode(), lambda: 0))
    return Delivery(connection, 1, 0.0, "pg", text.encode(), points)


def values(filtered: DeltaFilter, text: str, connection: int = 1) -> list[dict[str, object]]:
    return [dict(point.fields) for point in filtered(delivery(text, connection))]


def test_messages_without_marks_pass() -> None:
    """Where nothing is marked every message is new, whatever its fields."""
    new = DeltaFilter()
    assert values(new, "m v=1 1\nm v=2 2") == [{"v": 1.0}, {"v": 2.0}]
    assert values(new, 'm w=1,t="" 3') == [{"w": 1.0, "t": ""}]
    assert new(delivery("")) == ()


def test_changed_mark_is_a_keyframe_and_repeated_mark_a_delta() -> None:
    """The message that brings another mark repeats rows; those that keep it are new, and come without it."""
    new = DeltaFilter()
    assert values(new, "m v=1 1") == [{"v": 1.0}]
    assert values(new, 'm _7="",v=1 1') == []
    assert values(new, 'm _7="",v=2 2\nm v=3 3') == [{"v": 2.0}, {"v": 3.0}]
    assert values(new, 'm _8="",v=1 1\nm v=2 2\nm v=3 3') == []
    assert values(new, 'm _8="",v=4 4') == [{"v": 4.0}]


def test_each_connection_starts_without_a_mark() -> None:
    """A new connection whose first mark happens to be the old one's begins with a keyframe all the same."""
    new = DeltaFilter()
    assert values(new, 'm _3="",v=1 1', connection=1) == []
    assert values(new, 'm _3="",v=1 1', connection=2) == []
    assert values(new, 'm _3="",v=2 2', connection=2) == [{"v": 2.0}]
    assert values(new, 'm _3="",v=2 2', connection=1) == [{"v": 2.0}]


def test_measurements_have_marks_of_their_own() -> None:
    """What one measurement's mark is says nothing about another's on the same connection."""
    new = DeltaFilter()
    assert values(new, 'a _3="",v=1 1') == []
    assert values(new, 'b _3="",v=1 1') == []
    assert values(new, 'a _3="",v=2 2') == [{"v": 2.0}]


def test_fields_that_look_like_marks_are_data() -> None:
    """A number called ``_1``, a text in it, or a longer name is the operator's own field."""
    new = DeltaFilter()
    assert values(new, 'm _1=1,_2="x",_12="" 1') == [{"_1": 1.0, "_2": "x", "_12": ""}]
