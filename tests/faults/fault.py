"""What the matrix knows of a fault beside its tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        name: what happens, in a few words.
        untested: why no test here can make it happen; empty: there is one.
    """

    name: str
    untested: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Faults of one place.

    Attributes:
        name: heading in the matrix.
        faults: by number.
    """

    name: str
    faults: dict[int, Fault]
