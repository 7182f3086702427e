"""The channels of the stand-in: what was published last, who listens, how often something comes.

A channel is ``stream/<stream id>/<measurement>`` and comes into being with its first frame or subscriber. As in Grafana
(pkg/services/live/managedstream) only the last frame is cached; a publication carries the schema only if it differs
from the one before; nothing survives a restart. Any name is published, cached and listed, but only a name that the
plugin SDK's channel grammar allows can be subscribed to.

All calls are synchronous and bounded: a subscriber takes a publication into its own queue or is dropped by itself.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from trio_bridge.live.frames import Frame

# The plugin SDK's channel grammar: A-z was meant as A-Za-z, and so lets through what lies between Z and a in ASCII.
_SCOPE_OR_NAMESPACE = re.compile(r"[A-z0-9_\-]+")
_PATH = re.compile(r"[A-z0-9_\-/=.]+")
_NAME_LIMIT = 160
_RATE_WINDOW_S = 60


class Subscriber(Protocol):
    """Whoever takes publications."""

    def publish(self, channel: str, frame_json: bytes) -> None:
        """Takes one publication without waiting."""


class Publication(NamedTuple):
    """One frame on one channel, and whether it went out with its schema."""

    channel: str
    frame: Frame
    with_schema: bool


def is_subscribable(name: str) -> bool:
    """Whether Grafana accepts a subscription to `name` (without the organisation's prefix)."""
    if len(name.encode("utf-8", "surrogateescape")) > _NAME_LIMIT:
        return False
    scope, _, rest = name.partition("/")
    namespace, _, path = rest.partition("/")
    return all(
        pattern.fullmatch(part)
        for pattern, part in ((_SCOPE_OR_NAMESPACE, scope), (_SCOPE_OR_NAMESPACE, namespace), (_PATH, path))
    )


class _Channel:
    def __init__(self) -> None:
        self.frame: Frame | None = None
        self.subscribers: set[Subscriber] = set()
        # Publications per second of the last minute: (second, count), oldest first.
        self.rate: deque[list[int]] = deque(maxlen=_RATE_WINDOW_S)


class Channels:
    """All channels of one server.

    Args:
        now_s: a monotonic clock in s, for the rates.

    Attributes:
        subscriptions: how many there are, over all channels.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._channels: dict[str, _Channel] = {}
        self.subscriptions = 0

    def publish(self, stream_id: str, frame: Frame) -> Publication:
        """Caches `frame` and hands it to the channel's subscribers."""
        name = f"stream/{stream_id}/{frame.name}"
        channel = self._channels.setdefault(name, _Channel())
        with_schema = channel.frame is None or not frame.same_schema(channel.frame)
        channel.frame = frame
        second = int(self._now_s())
        if channel.rate and channel.rate[-1][0] == second:
            channel.rate[-1][1] += 1
        else:
            channel.rate.append([second, 1])
        if channel.subscribers:
            frame_json = frame.to_json(schema=with_schema)
            for subscriber in list(channel.subscribers):
                subscriber.publish(name, frame_json)
        return Publication(name, frame, with_schema)

    def subscribe(self, name: str, subscriber: Subscriber) -> bytes | None:
        """Adds `subscriber` to the channel `name` and returns the cached frame as JSON, if there is one."""
        channel = self._channels.setdefault(name, _Channel())
        if subscriber not in channel.subscribers:
            channel.subscribers.add(subscriber)
            self.subscriptions += 1
        return None if channel.frame is None else channel.frame.to_json()

    def unsubscribe(self, name: str, subscriber: Subscriber) -> None:
        """Removes `subscriber`; unknown names and subscribers are ignored."""
        channel = self._channels.get(name)
        if channel is not None and subscriber in channel.subscribers:
            channel.subscribers.remove(subscriber)
            self.subscriptions -= 1

    def listed(self) -> Iterator[dict[str, Any]]:
        """The channels that have had data, as ``GET /api/live/list`` shows them."""
        oldest = int(self._now_s()) - _RATE_WINDOW_S
        for name, channel in self._channels.items():
            if channel.frame is not None:
                yield {
                    "channel": name,
                    "minute_rate": sum(count for second, count in channel.rate if second > oldest),
                    "data": {"schema": channel.frame.schema()},
                }

    def clear(self) -> None:
        """Forgets everything, as a restart does."""
        self._channels.clear()
        self.subscriptions = 0
