from __future__ import annotations

import pytest

from trio_bridge.config.listen import parse_listen
from trio_bridge.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "host", "port", "url"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464, "http://127.0.0.1:9464"),
        ("localhost:0", "localhost", 0, "http://localhost:0"),
        (":9464", "0.0.0.0", 9464, "http://127.0.0.1:9464"),
        ("0.0.0.0:80", "0.0.0.0", 80, "http://127.0.0.1:80"),
        ("[::1]:9464", "::1", 9464, "http://[::1]:9464"),
        ("[::]:9464", "::", 9464, "http://[::1]:9464"),
    ],
)
def test_addresses(text, host, port, url):
    """Each way of writing says where to listen, and how to reach it from here."""
    listen = parse_listen(text)
    assert listen is not None
    assert (listen.host, listen.port) == (host, port)
    assert listen.url == url


@pytest.mark.parametrize("text", ["off", ""])
def test_off(text):
    """Nothing is served; the word is for the environment, where an empty variable counts as not set."""
    assert parse_listen(text) is None


@pytest.mark.parametrize(
    "text", ["9464", "host", "host:", "host:x", "host:65536", "::1:9464", "host:-1", "host:²"]
)
def test_what_is_no_address(text):
    """It says how to write one."""
    with pytest.raises(ConfigError, match="host:port"):
        parse_listen(text)
