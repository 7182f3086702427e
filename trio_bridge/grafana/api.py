"""Grafana's HTTP API: one question in, the JSON of its answer out, or one error with one sentence.

`open_api` owns the HTTP client and closes it. Credentials are a header, given once. No redirect is followed: it would
carry them elsewhere. What cannot be reached, what refuses us and what is not Grafana have sentences of their own, as on
the push socket; anything else that is not a success is told with Grafana's own message, shortened. Never says a secret,
asks nothing twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import ConfigError, CredentialsRefused, SinkError
from trio_bridge.grafana.address import PushAddress
from trio_bridge.grafana.credentials import secret_parts
from trio_bridge.grafana.tls import tls_context
from trio_bridge.quote import quoted
from trio_bridge.secret import Secret

# Grafana hashes a Basic password in some 50 ms, and answers these questions from its own small database.
TIMEOUT_S: Final = 10.0

_QUOTE_CHARS: Final = 160


class Api:
    """Asks one Grafana, as one user; made by `open_api`.

    Attributes:
        peer: ``host:port`` for messages.
    """

    def __init__(self, client: httpx.AsyncClient, peer: str, credentials: Secret) -> None:
        self.peer = peer
        self._client = client
        self._credentials = credentials

    async def get(self, path: str, **query: str) -> Any:
        """What is at `path`; errors as `ask`."""
        return await self.ask("GET", path, query=query)

    async def find(self, path: str) -> Any | None:
        """What is at `path`, or None: there is no such thing; errors as `ask`."""
        answer = await self._send("GET", path, None, {})
        return None if answer.status_code == httpx.codes.NOT_FOUND else self._body(answer, "GET", path)

    async def ask(
        self, method: str, path: str, body: object = None, *, query: Mapping[str, str] | None = None
    ) -> Any:
        """The answer's JSON.

        Args:
            method: of HTTP.
            path: below Grafana's own, e.g. ``/api/org``.
            body: sent as JSON, unless None.
            query: the address's parameters.

        Raises:
            CredentialsRefused: Grafana knows these credentials not, or does not let them do this.
            SinkError: it cannot be reached, refuses, fails, or is not Grafana.
        """
        return self._body(await self._send(method, path, body, query or {}), method, path)

    async def _send(self, method: str, path: str, body: object, query: Mapping[str, str]) -> httpx.Response:
        try:
            return await self._client.request(
                method, path.lstrip("/"), json=body, params=dict(query), follow_redirects=False
            )
        except httpx.TimeoutException:
            reason = f"no answer within {TIMEOUT_S:g} s"
        except (httpx.TransportError, httpx.DecodingError) as error:
            reason = self._quoted(str(error) or type(error).__name__)
        raise SinkError(f"{self.peer} cannot be asked ({reason}): is Grafana running, is its URL right?")

    def _body(self, answer: httpx.Response, method: str, path: str) -> Any:
        status, what = (
            answer.status_code,
            f"grafana at {self.peer} answered {answer.status_code} to {method} {path}",
        )
        try:
            body = answer.json()
        except ValueError:
            body = None
        if answer.is_success:
            if body is None:
                raise SinkError(f"{what} without JSON: is it Grafana, is the URL's path right?")
            return body
        said = body.get("message", "") if isinstance(body, dict) else answer.text
        reason = self._quoted(str(said)) or answer.reason_phrase
        # A token that was deleted is a 500 to Grafana 9.
        if status == httpx.codes.UNAUTHORIZED or "invalid api key" in reason.lower():
            raise CredentialsRefused(f"{what} ({reason}): user and password, or the token, are not its own")
        if status == httpx.codes.FORBIDDEN:
            raise CredentialsRefused(
                f"{what} ({reason}): this needs the organisation role Admin (to save a dashboard: Editor)"
            )
        if answer.is_redirect:
            host = self._redirect_host(answer.headers.get("location", "")) or "another path"
            raise SinkError(f"{what}, a redirect to {host}: use the URL that Grafana itself goes by")
        raise SinkError(f"{what}: {reason}")

    def _redirect_host(self, location: str) -> str:
        try:
            return self._quoted(urlsplit(location).netloc)
        except ValueError:
            return ""

    def _quoted(self, text: str) -> str:
        return quoted(text, secret_parts(self._credentials), _QUOTE_CHARS)


@asynccontextmanager
async def open_api(settings: GrafanaSettings, credentials: Secret) -> AsyncIterator[Api]:
    """A way to ask Grafana.

    Args:
        settings: where it is, and whose certificates it may show.
        credentials: the value of the header ``Authorization``.

    Raises:
        ConfigError: its URL is none, or a file of certificates cannot be used.
    """
    address = PushAddress.parse(settings.url, "none")
    headers = {"Authorization": credentials.reveal()}
    try:
        # As on the push socket: no proxy stands in our way unasked.
        client = httpx.AsyncClient(
            base_url=settings.url.strip(),
            headers=headers,
            timeout=TIMEOUT_S,
            verify=tls_context(settings),
            trust_env=False,
        )
    except httpx.InvalidURL:
        raise ConfigError("grafana.url must be http(s)://host[:port][/sub-path]") from None
    async with client:
        yield Api(client, address.peer, credentials)
