"""The frozen records that travel from stage to stage: listener → Page → decoder → Batch → sender → mark → listener.

A *mark* numbers the pages of one run of a route, from 1. It is all that travels back: the sender acknowledges a
mark, the listener knows which position it stood for. A mark of an earlier run means nothing, because nothing of a
run outlives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Page:
    """Rows read by one delta (or notifications taken in one go), in the order in which they are to be sent.

    Attributes:
        mark: number of the page in this run.
        rows: each the JSON text of one object, UTF-8; None: the row was larger than the listener would fetch.
        keys: for each row, the text of its primary key, different for each row of the table; empty for channel
            routes, whose rows have none.
        pulled_at: when it was read, monotonic seconds.
        rung_at: when the bell was heard that led to reading it, monotonic seconds; None: no bell did.
    """

    mark: int
    rows: Sequence[bytes | None]
    keys: Sequence[str]
    pulled_at: float
    rung_at: float | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was seen and will never be sent.

    Attributes:
        reason: short constant, the label of the counter.
        key: names the row in a log.
        detail: one sentence for the operator; no row values beyond a column's name.
    """

    reason: str
    key: str
    detail: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The lines of one page.

    Attributes:
        mark: the page's mark: acknowledging it acknowledges the page.
        lines: InfluxDB line protocol, UTF-8, without the newline, by time; each at most ``MAX_LINE_BYTES``.
        rejections: the rows that did not become lines; ``len(lines) + len(rejections)`` rows were seen.
        nulled: how often a value was sent as null or rounded, by reason.
        pulled_at: see `Page`.
        rung_at: see `Page`.
        keys: for each line, its row's key, see `Page`.
        defaults: of a series route every field known so far in its null form (``a="NaN",b="NaN",``), sorted by name;
            its lines carry the fields of their own series only. Empty for other routes: their lines are complete.
            Together with any line at most ``MAX_LINE_BYTES``.
    """

    mark: int
    lines: Sequence[bytes]
    rejections: Sequence[Rejection]
    nulled: dict[str, int] = field(default_factory=dict)
    pulled_at: float = 0.0
    rung_at: float | None = None
    keys: Sequence[str] = ()
    defaults: bytes = b""
