"""The way to Grafana: each thing that keeps rows from being pushed has its own sentence."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.doctor.world import NOWHERE, TOKEN, broken, examined, grafana, live_grafana, warns
from tests.grafana.raw_peer import TLS, listen, read_head, says
from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.doctor.hops import Finding
from trio_bridge.live import LiveServer, Refusal, answer
from trio_bridge.live.auth import Role, new_token
from trio_bridge.secret import Secret


@pytest.fixture
async def live() -> AsyncIterator[LiveServer]:
    """A Live stand-in."""
    async with LiveServer() as server:
        yield server


def http(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


def health(version: str, database: str = "ok") -> bytes:
    return http(200, json.dumps({"database": database, "version": version}).encode())


async def ask(nursery: trio.Nursery, said: bytes) -> dict[str, Finding]:
    """Findings about a server that says `said` to every request."""
    port = await listen(nursery, says(said))
    return await examined(grafana=grafana(f"http://127.0.0.1:{port}"))


async def test_a_name_that_is_not_resolved() -> None:
    """The name, and not what lies behind it."""
    found = await examined(grafana=grafana("http://grafana.invalid:3000"))
    broken(found["grafana name"], 5, "the name in grafana.invalid:3000 is not resolved")
    assert found["push socket"].status == "skipped"


async def test_a_closed_port() -> None:
    """Nobody listens."""
    found = await examined()
    broken(found["grafana connection"], 5, f"nothing listens at 127.0.0.1:{NOWHERE}")


async def test_a_certificate_that_nobody_trusts(nursery: trio.Nursery) -> None:
    """A certificate of an unknown authority."""
    port = await listen(nursery, read_forever, certificate="good")
    found = await examined(grafana=grafana(f"https://localhost:{port}"))
    broken(found["grafana TLS"], 5, "its certificate is not trusted")


async def test_an_expired_certificate(nursery: trio.Nursery) -> None:
    """A certificate that was good once."""
    port = await listen(nursery, read_forever, certificate="expired")
    found = await examined(grafana=grafana(f"https://localhost:{port}", ca_file=TLS / "ca.pem"))
    broken(found["grafana TLS"], 5, "its certificate has expired")


async def test_https_on_a_port_that_speaks_http(live: LiveServer) -> None:
    """The scheme is wrong."""
    found = await examined(grafana=grafana(live.url.replace("http:", "https:")))
    broken(found["grafana TLS"], 5, "it does not speak TLS there, write http://")


async def test_http_on_a_port_that_speaks_tls(nursery: trio.Nursery) -> None:
    """The scheme is wrong the other way round."""
    port = await listen(nursery, read_forever, certificate="good")
    found = await examined(grafana=grafana(f"http://localhost:{port}"))
    broken(found["grafana health"], 5, "gave no HTTP answer")


async def read_forever(stream: trio.abc.Stream) -> None:
    while await stream.receive_some():
        pass


async def test_a_server_that_is_silent(nursery: trio.Nursery) -> None:
    """Connections are taken and nothing is answered."""
    port = await listen(nursery, read_forever)
    found = await examined(grafana=grafana(f"http://127.0.0.1:{port}", connect_timeout_s=0.2))
    broken(found["grafana health"], 5, "did not answer GET /api/health within 0.2 s")


async def test_another_web_server(nursery: trio.Nursery) -> None:
    """A page is no Grafana."""
    found = await ask(nursery, http(200, b"<html>It works!</html>", "Content-Type: text/html"))
    broken(found["grafana health"], 5, "answered 200 to GET /api/health, not as Grafana does")


async def test_a_missing_sub_path(nursery: trio.Nursery) -> None:
    """404 where Grafana would answer: the sub-path is in the remedy."""
    found = (await ask(nursery, http(404, b"{}")))["grafana health"]
    broken(found, 5, "answered 404 to GET /api/health")
    assert "sub-path" in found.remedy


async def test_a_redirect(nursery: trio.Nursery) -> None:
    """A redirect is not followed."""
    found = await ask(nursery, http(301, b"", "Location: https://elsewhere/api/health"))
    broken(found["grafana health"], 5, "a redirect, which is not followed")


async def test_a_grafana_without_live(nursery: trio.Nursery) -> None:
    """Grafana 7 has no push socket."""
    found = await ask(nursery, health("7.5.17"))
    broken(found["grafana health"], 5, "this is Grafana 7.5.17: Live began with 8")


async def test_a_grafana_whose_database_fails(nursery: trio.Nursery) -> None:
    """Grafana's own complaint is passed on."""
    found = await ask(nursery, health("12.1.0", "failing"))
    warns(found["grafana health"], "Grafana 12.1.0 says that its own database is not well")


async def push_finding(settings: GrafanaSettings) -> Finding:
    found = (await examined(grafana=settings))["push socket"]
    assert found.remedy
    return found


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
async def test_a_token_without_the_role_admin(live: LiveServer, role: Role) -> None:
    """Viewer and Editor may not push; the remedy makes another token."""
    token = live.accounts.add_token(live.accounts.add_account("low", role), "t")
    found = await push_finding(grafana(live.url, token=Secret(token)))
    broken(found, 5, "answered 403", "push needs the organisation role Admin")
    assert found.remedy == "trio-bridge grafana token"


async def test_a_deleted_token(live: LiveServer) -> None:
    """A token that Grafana does not know any more."""
    live.accounts.revoke(live.token)
    broken(await push_finding(live_grafana(live)), 5, "the token was deleted or belongs to another Grafana")


async def test_an_expired_token(live: LiveServer) -> None:
    """A token whose time is over."""
    live.accounts.expire(live.token)
    broken(await push_finding(live_grafana(live)), 5, "answered 401", "Expired API key")


async def test_a_malformed_token(live: LiveServer) -> None:
    """Something that is no token of Grafana's, which is not shown."""
    broken(await push_finding(grafana(live.url, token=Secret(TOKEN))), 5, "does not accept these credentials")


async def test_a_missing_token_file(live: LiveServer, tmp_path: Path) -> None:
    """An unreadable file is the configuration's fault: exit code 2."""
    found = await examined(grafana=grafana(live.url, token=None, token_file=tmp_path / "no"))
    broken(found["grafana credentials"], 2, "token_file", "cannot be read")
    assert found["push socket"].sentence == "not tried: grafana credentials comes first"


async def test_a_token_file_that_holds_nonsense(live: LiveServer, tmp_path: Path) -> None:
    """What is in the file is never shown."""
    file = tmp_path / "token"
    file.write_text("two words of s3cr3t")
    found = await examined(grafana=grafana(live.url, token=None, token_file=file))
    broken(found["grafana credentials"], 2, str(file))
    assert "s3cr3t" not in str(found)


async def test_a_proxy_without_a_backend(live: LiveServer) -> None:
    """What stands before Grafana answers the upgrade with 502."""
    live.faults.refusal = answer(502)
    broken(await push_finding(live_grafana(live)), 5, "answered 502", "Bad Gateway")


async def test_an_upgrade_that_is_never_answered(live: LiveServer) -> None:
    """The upgrade is sent and nothing comes back."""
    live.faults.refusal = Refusal(hang=True)
    broken(await push_finding(live_grafana(live, connect_timeout_s=0.3)), 5, "fell silent for 0.3 s")


async def test_a_ping_that_is_never_answered(live: LiveServer) -> None:
    """A socket that opens and does not pong is a broken hop."""
    live.faults.mute = True
    found = await push_finding(live_grafana(live, ack_timeout_s=0.2))
    broken(found, 5, "did not answer a ping within 0.2 s")


async def test_a_token_that_was_never_made(live: LiveServer) -> None:
    """A well-formed token of another Grafana."""
    found = await push_finding(grafana(live.url, token=Secret(new_token())))
    broken(found, 5, "belongs to another Grafana")


async def test_tls_that_is_trusted(nursery: trio.Nursery) -> None:
    """A certificate of a trusted authority is all right, and so is Grafana behind it."""

    async def handler(stream: trio.abc.Stream) -> None:
        await read_head(stream)
        await stream.send_all(health("12.1.0"))

    port = await listen(nursery, handler, certificate="good")
    found = await examined(grafana=grafana(f"https://localhost:{port}", ca_file=TLS / "ca.pem"))
    assert (found["grafana TLS"].status, found["grafana health"].status) == ("ok", "ok")
