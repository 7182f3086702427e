from __future__ import annotations

import traceback

import pytest

from trio_bridge.config.secretfile import open_to_all, read_secret, read_token
from trio_bridge.errors import ConfigError
from trio_bridge.secret import Secret


def test_a_line_break_at_the_end_is_the_files(tmp_path):
    """A password keeps its spaces; a token loses everything around it."""
    file = tmp_path / "secret"
    file.write_bytes(b" p w \r\n")
    assert read_secret(file) == Secret(" p w ")
    file.write_bytes(b" glsa_x \n")
    assert read_token(file) == Secret("glsa_x")


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"s3cr3t\xff", b"s3cr3t s3cr3t", "s3cr3té".encode(), b"s3cr3t\ns3cr3t"]
)
def test_what_is_no_token_is_not_repeated(tmp_path, content):
    """The sentence names the file; neither it nor its traceback holds what was read."""
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_token(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


def test_who_can_read_it(tmp_path):
    """The owner and the group may; all others are worth a warning."""
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(0o640)
    assert not open_to_all(file)
    file.chmod(0o644)
    assert open_to_all(file)
