"""Channels: the cache, the rates, the grammar of names."""

from __future__ import annotations

import pytest

from trio_bridge.live.channels import Channels, is_subscribable
from trio_bridge.live.frames import Frame, convert
from trio_bridge.live.lines import parse


class Listener:
    """Remembers what was published."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []

    def publish(self, channel: str, frame_json: bytes) -> None:
        self.seen.append((channel, frame_json))


def frame(text: str) -> Frame:
    [made] = convert(parse(text.encode(), lambda: 0), "labels_column")
    return made


def test_a_rate_is_of_the_last_minute() -> None:
    """Publications older than a minute no longer count."""
    now = 1000.0
    channels = Channels(lambda: now)

    def rate() -> int:
        [listed] = channels.listed()
        return int(listed["minute_rate"])

    for second in range(120):
        now = 1000.0 + second
        channels.publish("pg", frame("m v=1 1"))
        channels.publish("pg", frame("m v=1 2"))
        assert rate() == 2 * min(second + 1, 60)
    now += 30
    assert rate() == 60
    now += 30
    assert rate() == 0


def test_after_clearing_nothing_is_known() -> None:
    """Frames, subscribers and schemas are gone; the next publication carries its schema."""
    channels, listener = Channels(lambda: 0.0), Listener()
    channels.subscribe("stream/pg/m", listener)
    assert channels.publish("pg", frame("m v=1 1")).with_schema
    assert not channels.publish("pg", frame("m v=1 1")).with_schema
    channels.clear()
    assert channels.publish("pg", frame("m v=1 1")).with_schema
    assert (len(listener.seen), channels.subscriptions) == (2, 0)


def test_subscriptions_are_counted_once() -> None:
    """Subscribing twice and unsubscribing twice count once."""
    channels, listener = Channels(lambda: 0.0), Listener()
    for _ in range(2):
        channels.subscribe("stream/pg/m", listener)
        assert channels.subscriptions == 1
    for _ in range(2):
        channels.unsubscribe("stream/pg/m", listener)
        assert channels.subscriptions == 0
    channels.unsubscribe("stream/pg/never", listener)


@pytest.mark.parametrize(
    ("name", "subscribable"),
    [
        ("stream/pg/temp.x-y/z=1", True),
        ("stream/pg/[^`]\\", True),
        ("stream/pg/" + "m" * 150, True),
        ("stream/pg/" + "m" * 151, False),
        ("stream/pg/a\n", False),
        ("stream/a=b/m", False),
        ("stream//m", False),
        ("stream/pg/", False),
        ("stream/pg", False),
        ("stream/pg/é", False),
    ],
)
def test_the_grammar_of_names(name: str, subscribable: bool) -> None:
    """What is allowed follows the plugin SDK, with its range A-z that holds more than letters."""
    assert is_subscribable(name) is subscribable
