"""URL and stream to host, port and path."""

import pytest

from trio_bridge.errors import ConfigError
from trio_bridge.grafana.address import PushAddress


@pytest.mark.parametrize(
    ("url", "address", "host_header", "peer"),
    [
        ("http://g", PushAddress(False, "g", 80, "/api/live/push/pg"), "g", "g:80"),
        ("https://g", PushAddress(True, "g", 443, "/api/live/push/pg"), "g", "g:443"),
        ("https://g:80/", PushAddress(True, "g", 80, "/api/live/push/pg"), "g:80", "g:80"),
        ("http://G:3000/a/b/", PushAddress(False, "g", 3000, "/a/b/api/live/push/pg"), "g:3000", "g:3000"),
        (
            "http://[::1]:3000",
            PushAddress(False, "::1", 3000, "/api/live/push/pg"),
            "[::1]:3000",
            "[::1]:3000",
        ),
        ("http://[::1]", PushAddress(False, "::1", 80, "/api/live/push/pg"), "[::1]", "[::1]:80"),
        ("http://g/é x", PushAddress(False, "g", 80, "/%C3%A9%20x/api/live/push/pg"), "g", "g:80"),
        (" http://g/%C3%A9\n", PushAddress(False, "g", 80, "/%C3%A9/api/live/push/pg"), "g", "g:80"),
    ],
)
def test_the_push_socket_is_below_the_base_path(url, address, host_header, peer):
    """Scheme, default ports, sub-paths and IPv6 addresses come out as Grafana expects them."""
    parsed = PushAddress.parse(url, "pg")
    assert parsed == address
    assert parsed.host_header == host_header
    assert parsed.peer == peer


@pytest.mark.parametrize(
    "url",
    [
        "",
        "grafana:3000",
        "ws://g",
        "http://",
        "http://g:x",
        "http://[g",
        "http://a..b",
        "http://g?x=1",
        "http://g#x",
    ],
)
def test_what_is_no_url_of_grafana_is_the_operators_mistake(url):
    """Anything else ends the start with one line that says what is expected."""
    with pytest.raises(ConfigError, match=r"grafana\.url must be"):
        PushAddress.parse(url, "pg")


def test_credentials_in_the_url_are_refused_unseen():
    """A password in the URL would end in logs: refused, and not repeated."""
    with pytest.raises(ConfigError, match="must not carry credentials") as caught:
        PushAddress.parse("http://admin:hunter2@g", "pg")
    assert "hunter2" not in str(caught.value)
