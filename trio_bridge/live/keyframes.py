"""Tells new rows from repeated ones: deliveries → the points that were sent because they are new.

A sender may repeat its last rows on purpose, in a message that replaces what a browser shows because its schema differs
from the one before: a *keyframe*. It is marked in its first line by an empty text field ``_0`` … ``_9``, and every
message after it repeats that mark until the next keyframe changes it. So a keyframe is a message whose mark is another
than that of the message before it on its connection; a message without a mark never is one.

Whoever counts deliveries wants the rest: a row that came in keyframes only has not been delivered, and one that came in
a keyframe as well has not been delivered twice. Knows nothing of the sender but what is on the socket.
"""

from __future__ import annotations

import re

from trio_bridge.live.intake import Delivery
from trio_bridge.live.lines import Point

_MARK = re.compile(r"_[0-9]")


class DeltaFilter:
    """Takes the deliveries of one server in their order, of any number of connections."""

    def __init__(self) -> None:
        # The mark of the last message, by connection and measurement; what has no mark yet has the mark "".
        self._marks: dict[tuple[int, str], str] = {}

    def __call__(self, delivery: Delivery) -> tuple[Point, ...]:
        """The points of `delivery` without marks; none if it is a keyframe."""
        if not delivery.points:
            return ()
        first, *others = delivery.points
        marks = [name for name, value in first.fields.items() if value == "" and _MARK.fullmatch(name)]
        mark = marks[0] if marks else ""
        sender = delivery.connection, first.measurement
        changed = mark != self._marks.get(sender, "")
        self._marks[sender] = mark
        if mark and changed:
            return ()
        fields = {name: value for name, value in first.fields.items() if name not in marks}
        return (first._replace(fields=fields), *others)
