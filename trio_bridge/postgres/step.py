"""One act of an installation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """SQL that is run, or printed, as a whole.

    Attributes:
        title: what it does, in a few words.
        text: SQL with its comments.
        transaction: whether it runs in one; an index that is made concurrently must not.
    """

    title: str
    text: str
    transaction: bool = True
