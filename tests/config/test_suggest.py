from __future__ import annotations

from trio_bridge.config.suggest import did_you_mean


def test_suggests_only_what_is_near():
    """A slip of the pen is corrected; another word is not guessed at."""
    assert did_you_mean("tokenfile", ["token", "token_file", "url"]) == ': did you mean "token_file"?'
    assert did_you_mean("colour", ["token", "url"]) == ""
