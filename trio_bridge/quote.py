"""What another side said → a short text on one line that may stand in a message: without our credentials.

Whoever is shown credentials can say them back: in the body of a refusal, in a redirect, in a close frame, whole or cut
short, in capitals or not. None of that may reach a log, which more people read than may push. What was said in a form
that only its author can undo (encrypted, reversed) cannot be told from other text. Pure.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from typing import Final

PART: Final = 8
"""Characters in a row that two texts hardly share by chance. Guess: a token has 46, and all but these stay secret."""

MASK: Final = "********"

_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def quoted(text: str, secrets: Iterable[str], most: int) -> str:
    """At most `most` printable characters of `text`, on one line, masked."""
    return masked(one_line(text), secrets)[:most]


def one_line(text: str) -> str:
    """`text` without anything that a terminal or a log could take for more than text."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def masked(text: str, secrets: Iterable[str]) -> str:
    """`text` with ``********`` in place of what it shares with one of `secrets`: `PART` characters or more, or all."""
    lower = text.translate(_LOWER)
    shared = bytearray(len(text))
    for secret in secrets:
        size = min(len(secret), PART)
        if not size:
            continue
        plain = secret.translate(_LOWER)
        parts = {plain[start : start + size] for start in range(len(plain) - size + 1)}
        for start in range(len(lower) - size + 1):
            if lower[start : start + size] in parts:
                shared[start : start + size] = b"\1" * size
    pieces, end = [], 0
    for run in re.finditer(b"\1+", shared):
        pieces += [text[end : run.start()], MASK]
        end = run.end()
    return "".join([*pieces, text[end:]])
