"""A route, a Grafana and some browsers without sockets and without time that passes: everything around the judge.

`Grafana` is the Live stand-in's own reading of messages: parser, frames, channels; it writes down what each page gets,
as commands for the judge. `Bridge` is one connection of the sender stage: `Outbox` and `Keyframes`, driven as the
stage's pump does, with a clock that is told. Nothing here knows what a panel should show.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from tests.browser.table import MEASUREMENT, Row
from trio_bridge.live.channels import Channels
from trio_bridge.live.frames import convert
from trio_bridge.live.lines import parse
from trio_bridge.records import Batch
from trio_bridge.sender.keyframes import Keyframes
from trio_bridge.sender.pace import Outbox

_STREAM: Final = "pg"
CHANNEL: Final = f"stream/{_STREAM}/{MEASUREMENT}"


class _Page:
    """A tab's subscription: keeps what was published for it until it is written down."""

    def __init__(self) -> None:
        self.published: list[bytes] = []

    def publish(self, channel: str, frame_json: bytes) -> None:
        assert channel == CHANNEL
        self.published.append(frame_json)


class Grafana:
    """Publishes messages to pages.

    Attributes:
        commands: for the judge, JSON texts.
        connected: the pages that are subscribed.
    """

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.connected: dict[int, _Page] = {}
        self._channels = Channels(lambda: 0.0)

    def push(self, message: bytes) -> int:
        """One message from the bridge; how many rows it has."""
        frames = convert(parse(message, _no_clock), "labels_column")
        assert len(frames) == 1
        self._channels.publish(_STREAM, frames[0])
        by_text: dict[str, list[int]] = {}
        for name, page in self.connected.items():
            for published in page.published:
                by_text.setdefault(published.decode(), []).append(name)
            page.published.clear()
        for text, pages in by_text.items():
            self.commands.append(f'["publish",{pages},{text}]')
        return len(frames[0].values[0])

    def subscribe(self, name: int) -> None:
        """Page `name` (re)connects and gets the cached message, if there is one."""
        page = self.connected[name] = _Page()
        cached = self._channels.subscribe(CHANNEL, page)
        if cached is not None:
            self.commands.append(f'["answer",[{name}],{cached.decode()}]')

    def lose(self, name: int) -> None:
        """The connection of page `name` is gone."""
        self._channels.unsubscribe(CHANNEL, self.connected.pop(name))

    def restart(self) -> None:
        """Everything is forgotten, everybody is disconnected."""
        self._channels.clear()
        self.connected.clear()

    def tell(self, *command: object) -> None:
        """A command for the judge that is no message."""
        self.commands.append(json.dumps(command))


def _no_clock() -> int:
    raise AssertionError("a line without a time")


class Bridge:
    """One connection of the sender.

    Args:
        push: takes a message.
        keyframes: of this connection.
        now: the time of its start, seconds.
        interval_s: of the outbox.
        max_message_bytes: of the outbox; small, so that one batch needs many messages.
        sparse: a series route: lines carry their own fields only, batches carry the defaults.
        after_keyframe: told how many keyframes this connection has sent, after each.
    """

    def __init__(
        self,
        push: Callable[[bytes], object],
        keyframes: Keyframes,
        *,
        now: float,
        interval_s: float,
        max_message_bytes: int,
        sparse: bool,
        after_keyframe: Callable[[int], None],
    ) -> None:
        self._push = push
        self._keyframes = keyframes
        self._outbox = Outbox(interval_s, max_message_bytes)
        self._sparse = sparse
        self._after_keyframe = after_keyframe
        self._fields: set[str] = set()
        self._mark = 0
        self.now = now
        self.keyframes_sent = 0

    def refill(self, rows: Sequence[Row]) -> None:
        """The history that was read from the table at the start."""
        batch = self._batch(rows)
        self._keyframes.prepare(batch)
        self._keyframes.add(batch)

    def take_in(self, rows: Sequence[Row], accepted: Callable[[], None]) -> None:
        """Rows of the table, to be sent; `accepted` is called once no keyframe can come before them any more."""
        batch = self._batch(rows)
        self._keyframes.prepare(batch)
        # As in the stage, a keyframe that is due holds the batch back until the outbox is empty and it has gone.
        while self._keyframes.due_at() <= self.now:
            self._write_next()
        accepted()
        self._keyframes.add(batch)
        self._outbox.add(batch)

    def run_until(self, end: float) -> None:
        """Write what may go until then."""
        while self.next_at() <= end:
            self._write_next()
        self.now = max(self.now, end)

    def next_at(self) -> float:
        """When the next message may go; ``math.inf``: never, as it stands."""
        outbox_at = self._outbox.due_at(self.now)
        return self._keyframes.due_at() if outbox_at == math.inf else outbox_at

    @property
    def is_empty(self) -> bool:
        """Whether no row waits."""
        return self._outbox.due_at(self.now) == math.inf

    def _write_next(self) -> None:
        self.now = max(self.now, self.next_at())
        if not self.is_empty:
            message = self._outbox.take(self.now)
            if message.data:
                self._push(self._keyframes.decorated(message.data))
            return
        self._push(self._keyframes.take(self.now))
        self.keyframes_sent += 1
        self._after_keyframe(self.keyframes_sent)

    def _batch(self, rows: Iterable[Row]) -> Batch:
        # As the decoder hands them on.
        rows = sorted(rows, key=lambda row: row.time_ns)
        if self._sparse:
            self._fields.update(name for row in rows for name in row.cells)
        self._mark += 1
        defaults = "".join(f'{name}="NaN",' for name in sorted(self._fields))
        return Batch(
            mark=self._mark,
            lines=[row.line() for row in rows],
            rejections=(),
            keys=[row.key for row in rows],
            defaults=defaults.encode(),
        )
