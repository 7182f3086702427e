"""An unknown name → the known name that was probably meant.

Pure: compares words, reads nothing. Used wherever the operator may have mistyped a key, a section or a
variable.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence: ``: did you mean "token_file"?``, or nothing where no known name is near."""
    near = get_close_matches(word, list(known), n=1)
    return f': did you mean "{near[0]}"?' if near else ""
