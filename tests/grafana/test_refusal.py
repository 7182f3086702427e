"""What answers and close codes mean, without a network."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_bridge.errors import CredentialsRefused, SinkError
from trio_bridge.grafana.refusal import RETRY_AFTER_CAP_S, closed_socket, refused_upgrade

NOON = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def refused(received, *, closed=False, secrets=("glsa_secret",)):
    return refused_upgrade(
        received,
        peer="g.example:3000",
        path="/api/live/push/pg",
        closed=closed,
        timeout_s=10.0,
        wall_now=NOON,
        secrets=secrets,
    )


def http(status, body=b"", **headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"


@pytest.mark.parametrize(
    ("received", "kind", "words"),
    [
        (
            http(401, b'{"message":"Invalid username or password"}'),
            CredentialsRefused,
            "not accept these credentials",
        ),
        (http(403, b'{"message":"Permission denied"}'), CredentialsRefused, "organisation role Admin"),
        (http(500, b'{"message":"invalid API key"}'), CredentialsRefused, "belongs to another Grafana"),
        (http(404), SinkError, "there is no /api/live/push/pg: is the sub-path"),
        (http(400, b"Bad Request\n"), SinkError, "pass the headers Upgrade and Connection"),
        (http(426), SinkError, "pass the headers Upgrade and Connection"),
        (http(429), SinkError, "too many requests"),
        (http(500, b'{"message":"database is locked"}'), SinkError, "it says 'database is locked'"),
        (http(502, b"<html>no</html>"), SinkError, "502 to the WebSocket upgrade: Bad Gateway: look"),
        (http(503), SinkError, "Service Unavailable"),
        (http(504), SinkError, "Gateway Timeout"),
        (http(599), SinkError, "a status without a name"),
        (http(301, Location="http://g.example/api"), SinkError, "redirects to g.example are not followed"),
        (http(302, Location="/login"), SinkError, "redirects to g.example:3000 are not followed"),
        (http(307, Location="http://[bad"), SinkError, "redirects to g.example:3000 are not followed"),
        (http(200, b"<html>", Content_Type="text/html; charset=utf-8"), SinkError, "a login page or a proxy"),
        (http(200, b"hi"), SinkError, "is it Grafana that grafana.url points to?"),
        (http(418), SinkError, "is it Grafana that grafana.url points to?"),
        (
            SWITCH + b"Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
            SinkError,
            "Sec-WebSocket-Accept",
        ),
        (SWITCH + b"Upgrade: websocket\r\nSec-WebSocket-Protocol: x\r\n\r\n", SinkError, "subprotocol"),
        (SWITCH + b"Upgrade: websocket\r\nSec-WebSocket-Extensions: x\r\n\r\n", SinkError, "extension"),
        (SWITCH + b"\r\n", SinkError, "did not switch to WebSocket"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", SinkError, "not HTTP"),
        (b"\x00\xff\x00\xff\r\n\r\n", SinkError, "not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", SinkError, "write https:// in grafana.url"),
    ],
)
def test_each_answer_has_its_sentence(received, kind, words):
    """Each answer names what happened and what to do, and has the type that decides the reaction."""
    error = refused(received)
    assert type(error) is kind
    assert words in str(error)
    assert "g.example:3000" in str(error)


@pytest.mark.parametrize(
    ("received", "closed", "words"),
    [
        (b"", False, "accepted the connection and fell silent for 10 s"),
        (b"", True, "accepted the connection and closed it"),
        (b"HTTP/1.1 403 Forb", False, "began an answer to the WebSocket upgrade and fell silent for 10 s"),
        (b"HTTP/1.1 403 Forb", True, "began an answer to the WebSocket upgrade and closed it"),
    ],
)
def test_no_answer_says_how_it_ended(received, closed, words):
    """Silence and a closed connection are told apart, and whether an answer had begun."""
    assert words in str(refused(received, closed=closed))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 403 Forbidden\r\n\r\nPermission denied",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nPermission denied",
        b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n11\r\nPermission denied\r\nzz",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\n\r\nPermission denied",
    ],
)
def test_a_body_without_its_end_still_counts(answer):
    """A refusal whose body is cut, endless or broken is the refusal that its status says."""
    error = refused(answer)
    assert type(error) is CredentialsRefused
    assert "it says 'Permission denied'" in str(error)


@pytest.mark.fault(52)
@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("99999", RETRY_AFTER_CAP_S),
        ("Tue, 14 Nov 2023 22:13:40 GMT", 20.0),
        ("Tue, 14 Nov 2023 22:13:40", 20.0),
        ("Tue, 14 Nov 2023 21:00:00 GMT", 0.0),
        ("Tue, 14 Nov 2073 21:00:00 GMT", RETRY_AFTER_CAP_S),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept_and_capped(status, header, wait_s):
    """The wait that was asked for, in seconds or as a date, is passed on; never more than a minute of it."""
    assert refused(http(status, Retry_After=header)).retry_after_s == wait_s


def test_a_credential_sent_back_is_not_quoted():
    """A server that repeats our token in its answer does not bring it into our log."""
    error = refused(http(401, b'{"message":"no such key glsa_secret here"}'))
    assert "glsa_secret" not in str(error)
    assert "no such key ******** here" in str(error)


def test_a_redirect_names_the_host_only():
    """What the other side packs into a Location stays out of the log."""
    error = refused(http(302, Location="http://user:glsa_secret@login.example/x?auth=glsa_secret"))
    assert "login.example are" in str(error)
    assert "glsa_secret" not in str(error)


def test_quotes_are_short_and_printable():
    """Text of the other side can neither flood the log nor forge a line of it."""
    error = refused(http(500, b"one\r\ntwo\x1b[31m" + b"x" * 10_000))
    assert "one two [31mxxx" in str(error)
    assert len(str(error)) < 400
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (1000, SinkError, "in good order (1000"),
        (1001, SinkError, "Grafana stops or restarts"),
        (1012, SinkError, "Grafana stops or restarts"),
        (1006, SinkError, "without a close frame"),
        (1002, SinkError, "broke its protocol"),
        (1007, SinkError, "broke its protocol"),
        (1008, CredentialsRefused, "look at the token"),
        (1009, SinkError, "too large"),
        (1011, SinkError, "look at Grafana's log"),
        (1013, SinkError, "look at Grafana's log"),
        (4000, SinkError, "look at Grafana's log"),
    ],
)
def test_each_close_code_has_its_sentence(code, kind, words):
    """Each way to end an open socket says what it means."""
    error = closed_socket(code, "because glsa_secret", peer="g.example:3000", secrets=("glsa_secret",))
    assert type(error) is kind
    assert words in str(error)
    assert "g.example:3000" in str(error)
    assert "glsa_secret" not in str(error)


@given(st.binary(max_size=300), st.booleans())
@example(b"HTTP/1.1 302 X\r\nLocation: http://a\x00b/\r\n\r\n", True)
def test_any_bytes_become_one_sentence(received, closed):
    """Whatever comes back, the outcome is a `SinkError` with a printable message, never another exception."""
    error = refused(received, closed=closed)
    assert isinstance(error, SinkError)
    assert str(error).isprintable()


@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["Location", "Retry-After"]), st.text()),
    st.binary(),
)
def test_any_answer_becomes_one_sentence(status, headers, body):
    """Whatever status, headers and body: the same."""
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n".encode()
    for name, value in headers.items():
        head += name.encode() + b": " + value.encode("utf-8", "replace") + b"\r\n"
    error = refused(head + b"\r\n" + body)
    assert isinstance(error, SinkError)
    assert str(error).isprintable()
