"""Grafana's HTTP API: an answer or one sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import ConfigError, CredentialsRefused, SinkError
from trio_bridge.grafana.api import open_api
from trio_bridge.live import LiveServer
from trio_bridge.live.auth import new_token
from trio_bridge.secret import Secret

SECRET = "glsa_s3cr3t"
NOBODY = Secret(f"Bearer {SECRET}")


@asynccontextmanager
async def answering(raw: bytes, asked: list[bytes] | None = None) -> AsyncIterator[str]:
    """A server that says `raw` to everybody and notes what it was asked; its URL."""

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            request = await stream.receive_some()
            if asked is not None:
                asked.append(bytes(request).split(b"\r\n")[0])
            await stream.send_all(raw)

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, host="127.0.0.1")
        (listener,) = await nursery.start(serve, answer, 0)
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


def http(head: bytes, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (head, len(body), body)


async def test_answers_are_json() -> None:
    """What Grafana says comes back; what is not there is None to who looks for it."""
    async with (
        LiveServer() as live,
        open_api(GrafanaSettings(url=live.url), Secret(f"Bearer {live.token}")) as api,
    ):
        assert (await api.get("/api/health"))["database"] == "ok"
        found = await api.get("/api/serviceaccounts/search", query="brid")
        assert [account["name"] for account in found["serviceAccounts"]] == ["bridge"]
        assert await api.find("/api/dashboards/uid/none") is None
        with pytest.raises(SinkError, match="404 to GET /api/dashboards/uid/none: Dashboard not found"):
            await api.get("/api/dashboards/uid/none")


async def test_a_sub_path_is_kept() -> None:
    """A Grafana below a path is asked there."""
    asked: list[bytes] = []
    async with (
        answering(http(b"200 OK", b"{}"), asked) as url,
        open_api(GrafanaSettings(url=f"{url}/grafana/"), NOBODY) as api,
    ):
        assert await api.get("/api/health") == {}
    assert asked == [b"GET /grafana/api/health HTTP/1.1"]


async def test_a_deleted_token_is_a_matter_of_credentials() -> None:
    """Grafana 9 answers it with 500; to us it is as a wrong password."""
    async with (
        LiveServer() as live,
        open_api(GrafanaSettings(url=live.url), Secret(f"Bearer {new_token()}")) as api,
    ):
        with pytest.raises(CredentialsRefused, match="500"):
            await api.get("/api/live/list")


@pytest.mark.parametrize(
    ("head", "body", "sentence"),
    [
        (b"200 OK", b"<html>", "200 to GET /api/org without JSON: is it Grafana"),
        (b"301 Moved\r\nLocation: http://other/x?glsa_s3cr3t", b"", "a redirect to other: use the URL"),
        (b"502 Bad Gateway", b"<h1>Bad\nGateway</h1>", "502 to GET /api/org: <h1>Bad Gateway</h1>$"),
        (b"503 Service Unavailable", b"", "503 to GET /api/org: Service Unavailable$"),
        (b"400 Bad", b'{"message":"you sent glsa_s3cr3t"}', r"400 to GET /api/org: you sent \*{8}$"),
    ],
)
async def test_every_refusal_has_a_sentence(head: bytes, body: bytes, sentence: str) -> None:
    """Status, Grafana's own words and what to do; a secret that is sent back is not repeated."""
    async with answering(http(head, body)) as url, open_api(GrafanaSettings(url=url), NOBODY) as api:
        with pytest.raises(SinkError, match=sentence) as refused:
            await api.get("/api/org")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "raw", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
async def test_who_does_not_speak_http_cannot_be_asked(raw: bytes) -> None:
    """An end, another protocol and half an answer are one sentence each, and no foreign exception."""
    async with answering(raw) as url, open_api(GrafanaSettings(url=url), NOBODY) as api:
        with pytest.raises(SinkError, match=r"cannot be asked .*: is Grafana running"):
            await api.get("/api/org")


async def test_nobody_there_and_no_url() -> None:
    """A refused connection is Grafana's matter, an impossible URL the operator's."""
    async with LiveServer() as live:
        url = live.url
    async with open_api(GrafanaSettings(url=url), NOBODY) as api:
        with pytest.raises(SinkError, match="cannot be asked"):
            await api.get("/api/org")
    with pytest.raises(ConfigError, match=r"grafana\.url must be"):
        async with open_api(GrafanaSettings(url="ftp://x"), NOBODY):
            pass
