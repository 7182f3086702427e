"""Opening, using and leaving a push socket; each way it fails is one error with its own sentence."""

import contextlib
import socket
import traceback

import pytest
import trio

from tests.grafana.raw_peer import TLS, accept, listen, read_head, says
from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import ConfigError, CredentialsRefused, SinkError
from trio_bridge.grafana.push import CLOSE_TIMEOUT_S, open_push
from trio_bridge.live.auth import Role, new_token
from trio_bridge.live.faults import Refusal, answer
from trio_bridge.live.server import LiveServer
from trio_bridge.secret import Secret

TOKEN = "glsa_" + "s3cr3t" * 6


def settings(url, *, token=TOKEN, timeout_s=5.0, ca_file=None):
    return GrafanaSettings(url=url, token=Secret(token), connect_timeout_s=timeout_s, ca_file=ca_file)


async def refusal(url, *, token=TOKEN, timeout_s=5.0, ca_file=None):
    """The error that opening a push socket ends with; holds no secret and hangs on nothing that could."""
    with pytest.raises(SinkError) as caught:
        async with open_push(settings(url, token=token, timeout_s=timeout_s, ca_file=ca_file), "pg"):
            pytest.fail("the socket opened")
    error = caught.value
    assert token not in "".join(traceback.format_exception(error))
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


@pytest.fixture
async def live():
    """A Live stand-in that keeps what it accepts."""
    async with LiveServer(keep_log=True) as server:
        yield server


# In good order


async def test_a_message_reaches_the_stream(live):
    """What is sent before a ping that was answered has been published on the stream."""
    async with open_push(settings(live.url, token=live.token), "pg") as connection:
        await connection.send(b"m v=1 1700000000000000000\nm v=2 1700000001000000000")
        await connection.ping(b"one")
        assert live.counters.messages == 1
    assert [(d.stream_id, len(d.points)) for d in live.deliveries] == [("pg", 2)]


@pytest.mark.fault(50)
async def test_the_request_is_what_grafana_expects(nursery):
    """Below the sub-path, with the token, without an Origin, a subprotocol or an extension."""
    heads: list[bytes] = []

    async def handler(stream):
        heads.append(await read_head(stream))

    port = await listen(nursery, handler)
    await refusal(f"http://127.0.0.1:{port}/grafana/")
    request, *headers = heads[0].decode().lower().split("\r\n")
    assert request == "get /grafana/api/live/push/pg http/1.1"
    assert f"authorization: bearer {TOKEN}".lower() in headers
    assert f"host: 127.0.0.1:{port}" in headers
    assert not [
        h for h in headers if h.startswith(("origin", "sec-websocket-protocol", "sec-websocket-extensions"))
    ]


async def test_a_password_is_accepted_too(live, tmp_path):
    """An Admin's name and password open the socket as a token does."""
    file = tmp_path / "password"
    file.write_text("admin\n")
    given = GrafanaSettings(url=live.url, username="admin", password_file=file)
    async with open_push(given, "pg") as connection:
        await connection.ping(b"one")


async def test_it_leaves_politely(live):
    """Left in good order, the socket closes with a handshake: the server is gone before the block is."""
    async with open_push(settings(live.url, token=live.token), "pg") as connection:
        await connection.ping(b"one")
        assert live.faults.peers
    with trio.fail_after(1):
        while live.faults.peers:
            await trio.lowlevel.checkpoint()


@pytest.mark.fault(72)
async def test_a_server_that_ignores_our_close_is_left_alone(nursery):
    """A goodbye without an answer takes 2 s, not the library's 60."""

    async def handler(stream):
        await accept(stream)
        while await stream.receive_some():
            pass

    port = await listen(nursery, handler)
    async with open_push(settings(f"http://127.0.0.1:{port}"), "pg"):
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(CLOSE_TIMEOUT_S, abs=0.5)


async def test_an_error_of_the_block_comes_out_as_it_is(live):
    """What the block raises is neither wrapped nor replaced, and cuts the connection."""
    mistake = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError) as caught:
        async with open_push(settings(live.url, token=live.token), "pg"):
            raise mistake
    assert caught.value is mistake


async def test_cancelling_cuts_at_once(live):
    """A cancelled block is left at once, even when the other side reads nothing."""
    live.faults.stop_reading = True
    with trio.CancelScope() as scope:
        async with open_push(settings(live.url, token=live.token), "pg") as connection:
            scope.cancel()
            began = trio.current_time()
            await connection.send(b"x" * 100)
    assert scope.cancelled_caught
    assert trio.current_time() - began < 0.3


async def test_tls_with_a_trusted_certificate(nursery):
    """https means TLS to a certificate that we trust for the name that we asked for."""
    port = await listen(
        nursery, says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), certificate="good"
    )
    for host in ("localhost", "127.0.0.1"):
        error = await refusal(f"https://{host}:{port}", ca_file=TLS / "ca.pem")
        assert type(error) is CredentialsRefused


# TCP


@pytest.mark.fault(48)
async def test_connection_refused(unused_port):
    """Nobody listens: says where, and asks whether Grafana runs."""
    error = await refusal(f"http://127.0.0.1:{unused_port}")
    assert f"nothing listens at 127.0.0.1:{unused_port} (connection refused)" in str(error)


@pytest.fixture
def unused_port():
    """A port on which nobody listens as long as the test runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


class Names(trio.abc.HostnameResolver):
    """A DNS that answers as told."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def getaddrinfo(self, host, port, *_details, **_options):
        self.asked.append(host)
        result = self.answers.pop(0)
        if isinstance(result, Exception):
            raise result
        if result is None:
            await trio.sleep_forever()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (result, port))]

    async def getnameinfo(self, sockaddr, flags):
        raise NotImplementedError


async def test_a_name_that_is_not_resolved(live):
    """The DNS' reason is passed on, and the next attempt asks again."""
    names = Names(socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "127.0.0.1")
    trio.socket.set_custom_hostname_resolver(names)
    error = await refusal("http://grafana.example:3000")
    assert "the name in grafana.example:3000 is not resolved (Name or service not known)" in str(error)
    async with open_push(settings(f"http://grafana.example:{live.port}", token=live.token), "pg"):
        assert names.asked == [b"grafana.example", b"grafana.example"]


async def test_a_silent_dns_is_a_timeout():
    """Name resolution counts as part of the TCP step, under its deadline."""
    trio.socket.set_custom_hostname_resolver(Names(None))
    error = await refusal("http://grafana.example:3000", timeout_s=0.05)
    assert "took no TCP connection within 0.05 s (name resolution included)" in str(error)


async def test_an_address_out_of_reach():
    """Other reasons of the system are named in its words."""
    error = await refusal("http://255.255.255.255:3000")
    assert "255.255.255.255:3000 cannot be reached (" in str(error)


@pytest.mark.fault(48)
async def test_a_full_backlog_is_a_timeout():
    """A listener that accepts nobody is given up after the step's deadline."""
    with socket.socket() as full, socket.socket() as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        error = await refusal(f"http://127.0.0.1:{full.getsockname()[1]}", timeout_s=0.1)
    assert "took no TCP connection within 0.1 s" in str(error)


# TLS


@pytest.mark.fault(57)
@pytest.mark.parametrize(
    ("certificate", "host", "words"),
    [
        ("good", "localhost", None),
        ("expired", "localhost", "has expired, renew it"),
        ("early", "localhost", "not valid yet, check the clocks"),
        ("other", "localhost", "is for another host"),
        ("other", "127.0.0.1", "is for another host"),
    ],
)
async def test_bad_certificates(nursery, certificate, host, words):
    """Untrusted, expired, not yet valid and for another host are told apart; the token is never sent."""
    got: list[bytes] = []

    async def handler(stream):
        got.append(await read_head(stream))

    port = await listen(nursery, handler, certificate=certificate)
    error = await refusal(f"https://{host}:{port}", ca_file=TLS / "ca.pem" if words else None)
    assert f"no TLS connection to {host}:{port}: its certificate" in str(error)
    assert (words or "is not trusted (unable to get local issuer certificate)") in str(error)
    assert got == []


@pytest.mark.fault(57)
async def test_tls_where_there_is_none(nursery):
    """https to a plain http port: says so, and does not fall back to http."""
    got: list[bytes] = []

    async def handler(stream):
        got.append(await stream.receive_some())
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    port = await listen(nursery, handler)
    error = await refusal(f"https://127.0.0.1:{port}")
    assert "does not speak TLS there, write http:// in grafana.url" in str(error)
    assert len(got) == 1
    assert TOKEN.encode() not in got[0]


async def test_plain_http_to_a_tls_port(nursery):
    """http to an https port: says so."""

    async def handler(stream):
        await stream.receive_some()
        await stream.send_all(b"\x15\x03\x01\x00\x02\x02\x46")

    port = await listen(nursery, handler)
    assert "write https:// in grafana.url" in str(await refusal(f"http://127.0.0.1:{port}"))


@pytest.mark.fault(57)
async def test_an_old_tls_is_refused(nursery):
    """A server that only offers TLS 1.0 gets nothing from us."""

    async def handler(stream):
        await stream.receive_some()
        # Alert: fatal, protocol_version.
        await stream.send_all(b"\x15\x03\x01\x00\x02\x02\x46")
        await stream.receive_some()

    port = await listen(nursery, handler)
    assert "offers no version or cipher that is safe today" in str(await refusal(f"https://127.0.0.1:{port}"))


@pytest.mark.fault(57)
async def test_close_in_the_tls_handshake(nursery):
    """A connection that ends in the handshake is not taken for a timeout."""

    async def handler(stream):
        await stream.receive_some()

    port = await listen(nursery, handler)
    assert "the other side closed in the handshake" in str(await refusal(f"https://127.0.0.1:{port}"))


@pytest.mark.fault(57)
async def test_silence_in_the_tls_handshake(nursery):
    """A server that accepts and says nothing is given up after the step's deadline."""

    async def handler(stream):
        while await stream.receive_some():
            pass

    port = await listen(nursery, handler)
    error = await refusal(f"https://127.0.0.1:{port}", timeout_s=0.1)
    assert "did not finish the TLS handshake within 0.1 s" in str(error)


# Upgrade


@pytest.mark.fault(50)
@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
async def test_a_role_below_admin(live, role):
    """Grafana's 403 says which role is needed."""
    token = live.accounts.add_token(live.accounts.add_account("low", role), "low")
    error = await refusal(live.url, token=token)
    assert type(error) is CredentialsRefused
    assert "answered 403" in str(error)
    assert "push needs the organisation role Admin, it says 'Permission denied'" in str(error)


@pytest.mark.fault(49)
async def test_an_unknown_token(live):
    """Grafana's 500 for a deleted token is taken for what it is: refused credentials."""
    error = await refusal(live.url, token=new_token())
    assert type(error) is CredentialsRefused
    assert "answered 500" in str(error)
    assert "was deleted or belongs to another Grafana" in str(error)


@pytest.mark.fault(49)
async def test_a_malformed_token(live):
    """Grafana's 401 asks for another token."""
    error = await refusal(live.url, token="no-such-form")
    assert type(error) is CredentialsRefused
    assert "answered 401" in str(error)


@pytest.mark.fault(51)
async def test_a_wrong_base_path(live):
    """A 404 points at the sub-path and the version."""
    assert "is the sub-path in grafana.url right" in str(await refusal(live.url + "/elsewhere"))


@pytest.mark.fault(53, 54, 55, 56)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (answer(429, {"Retry-After": "7"}), "too many requests, we wait 7 s as asked"),
        (answer(503, body=b"upstream"), "Service Unavailable, it says 'upstream'"),
        (
            answer(301, {"Location": "https://grafana.example/secret-path"}),
            "redirects to grafana.example are not",
        ),
        (answer(200, {"Content-Type": "text/html"}, b"<html>login"), "a login page or a proxy"),
        (Refusal(b"HTTP/1.0 502 Bad Gateway\r\n\r\nno length, ends with the connection"), "answered 502"),
        (Refusal(b"\x00\x01\x02\x03 junk\r\n\r\n"), "something that is not HTTP"),
        (Refusal(), "accepted the connection and closed it"),
        (Refusal(b"HTTP/1.1 101 Swi"), "began an answer to the WebSocket upgrade and closed it"),
        (Refusal(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nPer"), "answered 403"),
        (
            Refusal(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: bm90IHRoZSByaWdodCBrZXk=\r\n\r\n",
                hang=True,
            ),
            "its Sec-WebSocket-Accept does not belong to our request",
        ),
    ],
)
async def test_other_answers(live, given, words):
    """Each answer that is no upgrade is known at once, long before any deadline."""
    live.faults.refusal = given
    with trio.fail_after(1):
        error = await refusal(live.url, timeout_s=20.0)
    assert words in str(error)
    assert error.retry_after_s == (7.0 if b" 429 " in given.raw else None)


@pytest.mark.fault(56)
@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"Sec-WebSocket-Protocol: surprise", "a subprotocol that nobody had offered"),
        (b"Sec-WebSocket-Extensions: permessage-deflate", "an extension that nobody had offered"),
    ],
)
async def test_what_nobody_offered(nursery, header, words):
    """A right accept key with a subprotocol or an extension that we did not offer is refused at once."""

    async def handler(stream):
        await accept(stream, header)
        await stream.receive_some()

    port = await listen(nursery, handler)
    with trio.fail_after(1):
        assert words in str(await refusal(f"http://127.0.0.1:{port}", timeout_s=20.0))


@pytest.mark.fault(55)
@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "accepted the connection and fell silent for 0.1 s"),
        (b"HTTP/1.1 101 Swi", "began an answer to the WebSocket upgrade and fell silent for 0.1 s"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nPer", "answered 403"),
    ],
)
async def test_silence_in_the_upgrade(nursery, said, words):
    """A server that falls silent before, in or after its head is given up after the step's deadline."""
    port = await listen(nursery, says(said, then_silence=True))
    assert words in str(await refusal(f"http://127.0.0.1:{port}", timeout_s=0.1))


@pytest.mark.fault(55)
async def test_an_endless_answer_is_cut(nursery):
    """An answer without end costs neither memory nor the whole deadline."""

    async def handler(stream):
        await read_head(stream)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
        while True:
            await stream.send_all(b"<br>" * 4096)

    port = await listen(nursery, handler)
    with trio.fail_after(2):
        assert "a login page or a proxy" in str(await refusal(f"http://127.0.0.1:{port}", timeout_s=20.0))


async def test_a_reset_instead_of_an_answer(nursery):
    """RST where the answer should be is known at once."""

    async def handler(stream):
        await read_head(stream)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        stream.socket.close()

    port = await listen(nursery, handler)
    with trio.fail_after(1):
        error = await refusal(f"http://127.0.0.1:{port}", timeout_s=20.0)
    assert "accepted the connection and closed it" in str(error)


@pytest.mark.fault(54)
async def test_a_redirect_is_not_followed(nursery):
    """The token is not sent where a Location points."""
    visits: list[bytes] = []

    async def elsewhere(stream):
        visits.append(await read_head(stream))

    target = await listen(nursery, elsewhere)
    location = f"Location: http://127.0.0.1:{target}/api/live/push/pg".encode()
    port = await listen(
        nursery, says(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + location + b"\r\n\r\n")
    )
    assert "redirects to 127.0.0.1 are not followed" in str(await refusal(f"http://127.0.0.1:{port}"))
    assert visits == []


async def test_a_server_that_echoes_our_request(nursery):
    """Our own header, sent back as an error text, does not come into the message."""

    async def handler(stream):
        head = await read_head(stream)
        await stream.send_all(b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%b" % (len(head), head))

    port = await listen(nursery, handler)
    assert "answered 400" in str(await refusal(f"http://127.0.0.1:{port}"))


async def test_a_missing_token_file_is_the_operators_mistake(tmp_path):
    """No connection is made without credentials."""
    given = GrafanaSettings(url="http://127.0.0.1:1", token_file=tmp_path / "absent")
    with pytest.raises(ConfigError, match="absent cannot be read"):
        async with open_push(given, "pg"):
            pytest.fail("the socket opened")


# The end of an open socket


async def end_of(live, action):
    """The error that an open connection, drained as it must be, ends with after `action`."""

    async def talk():
        async with open_push(settings(live.url, token=live.token), "pg") as connection:
            await connection.ping(b"one")
            await action()
            with trio.fail_after(1):
                while True:
                    await connection.receive()

    with pytest.raises(SinkError) as caught:
        await talk()
    assert live.token not in "".join(traceback.format_exception(caught.value))
    return caught.value


@pytest.mark.fault(58, 59)
@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (1000, SinkError, "in good order (1000, it says 'bye')"),
        (1001, SinkError, "Grafana stops or restarts"),
        (1008, CredentialsRefused, "by its policy (1008"),
        (1009, SinkError, "too large"),
        (1011, SinkError, "(1011, it says 'bye')"),
        (1012, SinkError, "Grafana stops or restarts"),
        (1013, SinkError, "(1013"),
        (4000, SinkError, "(4000"),
    ],
)
async def test_close_codes(live, code, kind, words):
    """The server's close code decides the sentence and the type."""
    error = await end_of(live, lambda: live.faults.close(code, "bye"))
    assert type(error) is kind
    assert words in str(error)


@pytest.mark.fault(60)
@pytest.mark.parametrize("reset", [False, True])
async def test_cut_without_a_close_frame(live, reset):
    """FIN and RST are seen at once."""

    async def cut():
        live.faults.cut(reset=reset)

    assert "without a close frame" in str(await end_of(live, cut))


@pytest.mark.fault(70)
@pytest.mark.parametrize(
    "frame",
    [
        b"\xf1\x01x",  # reserved bits
        b"\x81\x02\xff\xff",  # text that is not UTF-8
        b"\x09\x00",  # a fragmented ping
        b"\x81\x81abcd\x19",  # a masked frame from a server
        b"\x83\x00",  # a reserved opcode
        b"\x80\x00",  # a continuation of nothing
        b"\x88\x01\x03",  # a close code of one byte
        b"\x89\x7e\x00\x7e" + b"x" * 126,  # a ping that is too long
        b"\x81\x7f\x00\x00\x00\x00\x00\x02\x00\x00" + b"x" * (128 << 10),  # 128 KiB of text
    ],
)
async def test_broken_frames(live, frame):
    """Whatever breaks the WebSocket protocol ends the connection as one `SinkError`."""
    assert isinstance(await end_of(live, lambda: live.faults.send_raw(frame)), SinkError)


async def test_a_send_after_the_end_is_an_error(live):
    """Nothing is accepted into a connection that has ended."""
    with contextlib.suppress(SinkError):
        async with open_push(settings(live.url, token=live.token), "pg") as connection:
            live.faults.cut()
            await connection.receive()
    for use in (connection.send(b"m v=1 1"), connection.ping(b"x"), connection.pong(), connection.receive()):
        with pytest.raises(SinkError, match="without a close frame"):
            await use


@pytest.mark.fault(68)
async def test_a_cancelled_send_is_never_followed_by_another(live):
    """After a send that stopped in the middle of a frame, the connection is cut and takes nothing more."""
    live.faults.stop_reading = True
    async with open_push(settings(live.url, token=live.token), "pg") as connection:
        with trio.move_on_after(0.2) as scope:
            while True:
                await connection.send(b"x" * 65_536)
        assert scope.cancelled_caught
        with pytest.raises(SinkError):
            await connection.send(b"m v=1 1")
    live.faults.stop_reading = False
    with trio.fail_after(1):
        while live.faults.peers:
            await trio.sleep(0.01)
    assert all(b"m v=1 1" not in delivery.raw for delivery in live.deliveries)


@pytest.mark.fault(71)
async def test_a_ping_that_crosses_our_close_harms_nobody(nursery):
    """A ping behind our close frame breaks the library's reader; the block still ends in good order."""

    async def handler(stream):
        await accept(stream)
        # The close frame: now the ping crosses it.
        await stream.receive_some()
        await stream.send_all(b"\x89\x00" * 3)
        while await stream.receive_some():
            pass

    port = await listen(nursery, handler)
    with trio.fail_after(CLOSE_TIMEOUT_S + 1):
        async with open_push(settings(f"http://127.0.0.1:{port}"), "pg"):
            pass
    await trio.lowlevel.checkpoint()


async def test_nothing_is_left_behind(live):
    """Every socket and task of a connection ends with it, however it ends."""
    tasks = trio.lowlevel.current_statistics().tasks_living
    for attempt in range(20):
        live.faults.refusal = answer(503) if attempt % 2 else None
        with contextlib.suppress(SinkError):
            async with open_push(settings(live.url, token=live.token), "pg") as connection:
                live.faults.cut(reset=True)
                await connection.receive()
    with trio.fail_after(1):
        while trio.lowlevel.current_statistics().tasks_living > tasks:
            await trio.sleep(0.01)
