"""Rows are found in what the systems send, and count once."""

from __future__ import annotations

import math

from benchmarks import wire
from benchmarks.arrivals import Arrivals


def _frame(text: bytes) -> wire.Frame:
    # XOR with a mask twice is the text again.
    return wire.Frame(wire.TEXT, b"abcd", wire.unmasked(wire.Frame(wire.TEXT, b"abcd", text)))


def test_a_row_counts_at_its_first_arrival() -> None:
    """Repeated rows, as in keyframes, keep their first time; rows between that never came are not there."""
    arrivals = Arrivals()
    arrivals.take(1.0, _frame(b"live_metrics value=0 17\nlive_metrics value=3.0 18"))
    arrivals.take(2.0, _frame(b'live_metrics _0="",value=0 17\nlive_metrics value=1e3 19'))
    assert arrivals.count == 3
    assert arrivals.times[0] == 1.0
    assert arrivals.times[3] == 1.0
    assert arrivals.times[1000] == 2.0
    assert math.isnan(arrivals.times[1])


def test_probes_do_not_count() -> None:
    """Rows with negative numbers only tell when the first of them came."""
    arrivals = Arrivals()
    arrivals.take(1.0, _frame(b"live_metrics value=-1 17"))
    arrivals.take(2.0, _frame(b"live_metrics value=-2 17"))
    assert (arrivals.count, arrivals.first_probe) == (0, 1.0)
