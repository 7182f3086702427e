"""What the model of Grafana notes: rows as it read them, messages as it processed them, and who wants to know at once.

Frozen facts in virtual time; nothing here knows the bridge. A `Row` is its own identity: two rows are the same if key,
time and all values are, so a key that is used again after a crash is another row.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple, Protocol


class Row(NamedTuple):
    """One line as Grafana understood it.

    Attributes:
        key: the value of the key field, as text; "" if the line has none.
        time_ns: ns since 1970.
        fields: name and value by name, without the key, the flag, nulls (the string ``NaN``) and empty texts: a panel
            shows those alike.
    """

    key: str
    time_ns: int
    fields: tuple[tuple[str, float | str], ...]


class Delivery(NamedTuple):
    """One message that Grafana has dealt with.

    Attributes:
        at: virtual seconds.
        connection: its number, from 1, rising over all connections of this Grafana.
        owner: who dialled, as given to `LiveModel.dial`.
        sequence: number of the message on its connection, from 1.
        measurement: of its lines; "" if it was unparsable.
        rows: in their order; empty if it was unparsable.
        flag: the mark in its first line, ``_0`` to ``_9``; "": none.
        keyframe: whether it replaces what a panel shows: its rows are repetitions, it delivers nothing.
        unparsable: the bytes, if a line did not parse: the whole message vanished in silence; else None.
    """

    at: float
    connection: int
    owner: Hashable
    sequence: int
    measurement: str
    rows: tuple[Row, ...]
    flag: str
    keyframe: bool
    unparsable: bytes | None


class Observer(Protocol):
    """Told of facts at the moment they become true; must not wait, may raise."""

    def connected(self, connection: int, owner: Hashable) -> None:
        """A push socket is open."""

    def processed(self, delivery: Delivery) -> None:
        """A message has been converted and published, or has vanished."""

    def ponged(self, connection: int, sequence: int) -> None:
        """A ping that came after the first `sequence` messages of `connection` is being answered."""
