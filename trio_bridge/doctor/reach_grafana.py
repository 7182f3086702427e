"""From ``grafana.url`` to a Grafana that lets us push: name, TCP, TLS, health, upgrade, pong.

Name, TCP and TLS are taken apart over connections that are closed again; the push socket is the bridge's own
`trio_bridge.grafana.push.open_push`, with its own sentences. No redirect is followed: a token must not leave.
"""

from __future__ import annotations

import re
import secrets
import socket
from typing import Final

import httpx
import trio

from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.doctor.hops import GRAFANA, Hop, Verdict, failed, ok, warning
from trio_bridge.errors import CredentialsRefused, SinkError
from trio_bridge.grafana.address import PushAddress
from trio_bridge.grafana.credentials import authorization
from trio_bridge.grafana.push import PushConnection, open_push
from trio_bridge.grafana.tls import start_tls, tls_context
from trio_bridge.grafana.unreachable import unreachable
from trio_bridge.one_failure import one_failure

NAME: Final = "grafana name"
CONNECTION: Final = "grafana connection"
TLS: Final = "grafana TLS"
HEALTH: Final = "grafana health"
CREDENTIALS: Final = "grafana credentials"
PUSH: Final = "push socket"

FIRST_MAJOR: Final = 8
"""Grafana 8 brought the push socket."""

_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]{1,40}")


class GrafanaReach:
    """The hops of the way to Grafana; see the module.

    Args:
        settings: where it is, the credentials, and the deadline of each step.
        stream: the stream to push to.
        config: words that make a command read the same configuration.
    """

    def __init__(self, settings: GrafanaSettings, stream: str, *, config: str) -> None:
        self._settings = settings
        self._stream = stream
        self._address = PushAddress.parse(settings.url, stream)
        self._token = f"trio-bridge grafana token{config}"

    def hops(self) -> list[Hop]:
        """In their order."""
        url = "correct grafana.url"
        log = "look at Grafana's log, or at the proxy before it"
        return [
            Hop(NAME, GRAFANA, self._resolve, (), f"{url}, or mend the name service: getent hosts NAME"),
            Hop(CONNECTION, GRAFANA, self._connect, (NAME,), f"start Grafana, or {url}"),
            Hop(TLS, GRAFANA, self._handshake, (CONNECTION,), f"{url}, or mend the certificate"),
            Hop(HEALTH, GRAFANA, self._health, (TLS,), url),
            Hop(CREDENTIALS, GRAFANA, self._credentials, (), self._token),
            Hop(PUSH, GRAFANA, self._push, (HEALTH, CREDENTIALS), log),
        ]

    async def _resolve(self) -> Verdict:
        address, timeout_s = self._address, self._settings.connect_timeout_s
        with trio.move_on_after(timeout_s):
            try:
                found = await trio.socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise unreachable(error, address.peer) from None
            return ok("leads to " + ", ".join(dict.fromkeys(str(entry[4][0]) for entry in found)))
        raise SinkError(f"the name in {address.peer} was not resolved within {timeout_s:g} s")

    async def _connect(self) -> Verdict:
        await trio.aclose_forcefully(await open_tcp(self._address, self._settings.connect_timeout_s))
        return ok(f"{self._address.peer} accepts connections")

    async def _handshake(self) -> Verdict:
        if not self._address.tls:
            return ok("not wanted (http://)")
        tcp = await open_tcp(self._address, self._settings.connect_timeout_s)
        await trio.aclose_forcefully(
            await start_tls(tcp, tls_context(self._settings), self._address, self._settings.connect_timeout_s)
        )
        return ok(f"the certificate of {self._address.host} is valid")

    async def _health(self) -> Verdict:
        peer = self._address.peer
        not_grafana = "correct grafana.url: host, port, and the sub-path under which Grafana is served"
        answer = await get(self._settings, "/api/health")
        if answer.has_redirect_location:
            return failed(
                f"{peer} answers with a redirect, which is not followed: the token must not leave",
                not_grafana,
            )
        try:
            body = answer.json()
        except ValueError:
            body = None
        version = body.get("version") if isinstance(body, dict) else None
        if answer.status_code != 200 or not isinstance(version, str) or not _VERSION.fullmatch(version):
            return failed(
                f"{peer} answered {answer.status_code} to GET /api/health, not as Grafana does", not_grafana
            )
        major = re.match(r"\d+", version)
        if major is not None and int(major[0]) < FIRST_MAJOR:
            return failed(f"this is Grafana {version}: Live began with {FIRST_MAJOR}", "upgrade Grafana")
        if body.get("database") != "ok":
            return warning(
                f"Grafana {version} says that its own database is not well", "look at Grafana's log"
            )
        return ok(f"Grafana {version}")

    async def _credentials(self) -> Verdict:
        await authorization(self._settings)
        return ok("there, and well-formed")

    async def _push(self) -> Verdict:
        try:
            async with open_push(self._settings, self._stream) as connection:
                if await self._ponged(connection):
                    return ok("accepted (the token has the role Admin) and ponged")
        except CredentialsRefused as error:
            return failed(str(error), self._token)
        return failed(
            f"{self._address.peer} opened the push socket and did not answer a ping "
            f"within {self._settings.ack_timeout_s:g} s",
            "look whether Grafana hangs (its log, its CPU), and whether a proxy lets WebSocket frames pass",
        )

    async def _ponged(self, connection: PushConnection) -> bool:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_answer_pings, connection)
                with trio.move_on_after(self._settings.ack_timeout_s) as patience:
                    await connection.ping(secrets.token_bytes(8))
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise one_failure(group) from None
        return not patience.cancelled_caught


async def _answer_pings(connection: PushConnection) -> None:
    while True:
        await connection.receive()


async def open_tcp(address: PushAddress, timeout_s: float) -> trio.SocketStream:
    """A TCP connection to `address`.

    Raises:
        SinkError: there is none; the sentence says why.
    """
    with trio.move_on_after(timeout_s):
        try:
            return await trio.open_tcp_stream(address.host, address.port)
        except OSError as error:
            raise unreachable(error, address.peer) from None
    raise SinkError(
        f"{address.peer} took no TCP connection within {timeout_s:g} s: does a firewall drop packets?"
    )


async def get(settings: GrafanaSettings, path: str, *, credentials: str | None = None) -> httpx.Response:
    """GET `path` of Grafana's API, below the sub-path of the URL.

    Args:
        settings: where Grafana is, and how long to wait.
        path: from ``/api`` on.
        credentials: the value of the header ``Authorization``.

    Raises:
        SinkError: no answer.
    """
    headers = {} if credentials is None else {"Authorization": credentials}
    verify = tls_context(settings)
    url = settings.url.strip().rstrip("/") + path
    peer = PushAddress.parse(settings.url, "x").peer
    timeout_s = settings.connect_timeout_s
    with trio.move_on_after(timeout_s):
        # No proxy of the environment: the bridge's own connections know none either.
        async with httpx.AsyncClient(
            headers=headers, verify=verify, timeout=timeout_s, trust_env=False
        ) as client:
            try:
                return await client.get(url)
            except httpx.HTTPError as error:
                raise SinkError(
                    f"{peer} gave no HTTP answer to GET {path} ({type(error).__name__}): is it Grafana?"
                ) from None
    raise SinkError(f"{peer} did not answer GET {path} within {timeout_s:g} s: is it Grafana, is it well?")
