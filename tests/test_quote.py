"""What another side said stands in our messages: short, on one line, without our secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.quote import MASK, PART, masked, one_line, quoted

TOKEN = "glsa_AbCdEfGhIjKlMnOpQrStUvWxYz012345_0badcafe"


@pytest.mark.parametrize(
    "said",
    [
        TOKEN,
        TOKEN[:20],
        TOKEN[5:37],
        TOKEN[-12:],
        TOKEN.lower(),
        TOKEN.upper(),
        TOKEN[10:18],
        f"{TOKEN}{TOKEN}",
    ],
)
def test_a_secret_that_is_said_back_is_masked(said: str) -> None:
    """Whole, in part, in capitals or not: what is around it stays."""
    assert masked(f"no such key {said} here", [TOKEN]) == f"no such key {MASK} here"


@given(st.text(max_size=60), st.text(alphabet="abcXYZ09", min_size=1, max_size=30), st.text(max_size=60))
def test_nothing_of_a_secret_is_left(before: str, secret: str, after: str) -> None:
    """Wherever it stands and however short it is, no part of it that tells anything can be read."""
    left = masked(before + secret + after, [secret]).replace(MASK, "\0").lower()
    size = min(len(secret), PART)
    assert not any(secret[at : at + size].lower() in left for at in range(len(secret) - size + 1))


def test_other_text_is_left_alone() -> None:
    """What shares less than a part with a secret is none; an empty secret hides nothing."""
    assert masked("Permission denied for glsa_Ab", [TOKEN, ""]) == "Permission denied for glsa_Ab"


def test_a_short_secret_is_masked_as_a_whole() -> None:
    """A password of four characters has no parts."""
    assert masked("is it abcd or abc", ["abcd"]) == f"is it {MASK} or abc"


def test_a_quote_is_one_short_line() -> None:
    """Line ends, escapes and directions of writing become spaces; the rest is cut after the mask is in place."""
    assert one_line(" a\r\nb\x1b[31m\u202ec\x85 ") == "a b [31m c"
    assert quoted(f"key {TOKEN} " + "x" * 500, [TOKEN], 15) == f"key {MASK} xx"
