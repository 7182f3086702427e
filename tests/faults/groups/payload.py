"""Faults of what is in a row or a payload."""

from __future__ import annotations

from tests.faults.fault import Fault, Group

GROUP = Group(
    "What is in a row",
    {
        83: Fault("no JSON, half of it, nested without end, the same key twice"),
        84: Fault("fields missing, too many, of another type"),
        85: Fault("NaN, Infinity, -0, the smallest and largest numbers, 1e400, 401 digits"),
        86: Fault("integers at and beyond 64 bits"),
        87: Fault("line ends, control characters, halves of characters, 64 kB of text"),
        88: Fault("backslash, quote, comma, equals, space in every place"),
        89: Fault("empty tags, nulls only, a measurement that begins with #"),
        90: Fault("times: infinite, BC, year 294276, after 2262, none, of any zone"),
        91: Fault("two rows of one moment"),
        92: Fault("a field changes between number, text and truth"),
        93: Fault("rows and batches around 64 KiB and 1 MiB"),
    },
)
