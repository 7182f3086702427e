"""What becomes of one message: bytes → points → frames → channels, then the observer.

One `Intake` per TCP connection, because deliveries are numbered per connection. All of it is synchronous: when `take`
returns, every subscriber has the publications in its queue and the observer has seen the message. A message with a bad
line changes nothing but the counter of dropped ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trio_bridge.live.channels import Channels
from trio_bridge.live.frames import UnknownFormat, convert
from trio_bridge.live.lines import BadLine, Point, parse


@dataclass(frozen=True, slots=True)
class Delivery:
    """One accepted message.

    Attributes:
        connection: number of the TCP connection it came on, from 1.
        sequence: number of the message on that connection, from 1; dropped messages have none.
        arrived_s: `time.monotonic` when its last byte had been read, before it was parsed.
        stream_id: of the path it was pushed to.
        raw: the message.
        points: what the parser made of it.
    """

    connection: int
    sequence: int
    arrived_s: float
    stream_id: str
    raw: bytes
    points: tuple[Point, ...]


@dataclass(slots=True)
class Counters:
    """What has happened since the server was made; a restart resets nothing.

    Attributes:
        messages: accepted, pushed or posted.
        dropped: refused by the parser or for their format.
        rows: lines in accepted messages.
        connections: push sockets accepted.
        pings: read on push sockets.
        pongs: processed on push sockets.
    """

    messages: int = 0
    dropped: int = 0
    rows: int = 0
    connections: int = 0
    pings: int = 0
    pongs: int = 0


class Intake:
    """The messages of one TCP connection.

    Args:
        connection: its number, from 1.
        now_ns: the clock for lines without a time, ns since 1970.
        observe: called with each accepted message once it has been published.
    """

    def __init__(
        self,
        connection: int,
        channels: Channels,
        counters: Counters,
        *,
        now_ns: Callable[[], int],
        observe: Callable[[Delivery], None],
    ) -> None:
        self._connection = connection
        self._channels = channels
        self._counters = counters
        self._now_ns = now_ns
        self._observe = observe
        self._sequence = 0

    def take(self, data: bytes, arrived_s: float, stream_id: str, frame_format: str) -> None:
        """Converts and publishes one message.

        Raises:
            BadLine: a line does not parse.
            UnknownFormat: Grafana has no such frame format.
        """
        try:
            points = parse(data, self._now_ns)
            frames = convert(points, frame_format)
        except (BadLine, UnknownFormat):
            self._counters.dropped += 1
            raise
        for frame in frames:
            self._channels.publish(stream_id, frame)
        self._sequence += 1
        self._counters.messages += 1
        self._counters.rows += len(points)
        self._observe(Delivery(self._connection, self._sequence, arrived_s, stream_id, data, tuple(points)))
