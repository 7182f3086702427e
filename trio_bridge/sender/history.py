"""The window: the last rows of a route by time, as lines, ready to be sent as one message.

A late or out-of-order row finds its place; a row that comes again takes its own; a row older than a full window does
not enter. It is bounded by rows, and by the bytes of the message that carries it and of the publication that Grafana
makes of that for the browsers. Rows are taken in as they come and put in order only when somebody looks, or when four
windows full have gathered. A batch that fills the window alone and is newer than all in it replaces it: of a backlog
only the end is looked at (measured: 0.02 µs a row, against 0.4). Pure: lines in, lines out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

MAX_WINDOW_BYTES: Final = 256 * 1024
"""Of the message, and of the publication. Measured: browsers that lag by 1 MiB are cut, and a message of short lines
becomes about three times larger on its way to them."""

ROW_BYTES: Final = 17
"""Of a row in a publication beside its values: the time in milliseconds, an empty label, commas. Measured."""

NULL_BYTES: Final = 5
"""Of a field that a row lacks, in a publication: ``null`` and a comma."""

TIME_BYTES: Final = 20
"""Of the time at a line's end: a space and 19 digits. A publication carries it in milliseconds, see `ROW_BYTES`."""

UNORDERED_WINDOWS: Final = 4
"""Windows full of rows that may gather before they are put in order. Measured: 0.4 µs a row, whatever the rate."""


class Window:
    """The last `max_rows` (at least 1) rows by time.

    Attributes:
        gathered: rows that are not in order yet.
    """

    def __init__(self, max_rows: int, max_bytes: int = MAX_WINDOW_BYTES) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        # In order of (time, key).
        self._rows: list[tuple[int, str, bytes]] = []
        self._gathered: list[tuple[Sequence[bytes], Sequence[str]]] = []
        self.gathered = 0
        self._newest_ns = -math.inf
        self._unnamed = 0

    def __bool__(self) -> bool:
        return bool(self._rows or self._gathered)

    def __len__(self) -> int:
        self._put_in_order()
        return len(self._rows)

    def add(self, lines: Sequence[bytes], keys: Sequence[str]) -> None:
        """Take in `lines`.

        Args:
            lines: each ends with its time in ns since 1970; in the order of these, as in a `Batch`.
            keys: as many; equal keys are the same row, except that "" is never the same as another. No two of one call
                are equal otherwise.
        """
        if not lines:
            return
        last = slice(-self._max_rows, None)
        if len(lines) >= self._max_rows and _time_ns(lines[last][0]) > self._newest_ns:
            # They alone are the window: of a backlog only the end is looked at.
            lines, keys = lines[last], keys[last]
            self._rows, self._gathered, self.gathered = [], [], 0
        self._newest_ns = max(self._newest_ns, _time_ns(lines[-1]))
        self._gathered.append((lines, keys))
        self.gathered += len(lines)
        if self.gathered >= UNORDERED_WINDOWS * self._max_rows:
            self._put_in_order()

    def lines(self, lacking: int, room: int = MAX_WINDOW_BYTES) -> list[bytes]:
        """The rows that fit a message, oldest first; if not all fit, the newest, but at least one.

        Args:
            lacking: how many of the frame's fields a row lacks.
            room: bytes of the message at most.
        """
        self._put_in_order()
        fitting: list[bytes] = []
        message = publication = 0
        for _, _, line in reversed(self._rows):
            message += len(line) + 1
            # Names and measurement are no part of a publication's rows, but where a value begins is known of the first
            # only: a row of several fields counts for somewhat more than it is.
            values = len(line) - line.index(b"=") - TIME_BYTES
            publication += ROW_BYTES + NULL_BYTES * lacking + values
            if fitting and (message > min(room, self._max_bytes) or publication > self._max_bytes):
                break
            fitting.append(line)
        fitting.reverse()
        return fitting

    def _put_in_order(self) -> None:
        if not self._gathered:
            return
        latest = {row[1]: row for row in self._rows}
        for lines, keys in self._gathered:
            for line, key in zip(lines, keys, strict=True):
                time_ns = int(line[line.rindex(b" ") + 1 :])
                name = key or self._name()
                latest[name] = (time_ns, name, line)
        self._gathered = []
        self.gathered = 0
        self._rows = sorted(latest.values())[-self._max_rows :]

    def _name(self) -> str:
        """For a row without a key: unlike any key, and rising, so that rows of one time stay in the order they came."""
        self._unnamed += 1
        return f"\0{self._unnamed:020d}"


def _time_ns(line: bytes) -> int:
    return int(line[line.rindex(b" ") :])
