"""What an answer that is not an open push socket means: bytes and close codes in, one error with one sentence out.

Every way in which Grafana, or what stands in its place, can refuse the upgrade or end the socket has a
sentence of its own that says what happened and what to do. Statuses as a running Grafana 9.4 gives them: 401
and 403 for credentials it refuses, and 500 with ``invalid API key`` for a token that was deleted or belongs
to another Grafana.

Pure. Text of the other side is quoted short, printable, and without our credentials, should it send them
back. A redirect's target is named by its host only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import h11
import msgspec

from trio_bridge.errors import CredentialsRefused, SinkError
from trio_bridge.quote import masked, quoted

# Guess. One header of a proxy must not silence a panel for longer than a refused token does.
RETRY_AFTER_CAP_S: Final = 60.0

_QUOTE_CHARS: Final = 120
_TLS_RECORD: Final = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as far as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


def parse_answer(received: bytes) -> Answer | None:
    """The answer to our GET in `received`; None while its head is not complete.

    Raises:
        h11.RemoteProtocolError: this is not HTTP.
    """
    if not received:
        return None
    # The parser waits for an empty line before it says so.
    if received[:5] != b"HTTP/"[: len(received)]:
        raise h11.RemoteProtocolError("no status line")
    parser = h11.Connection(h11.CLIENT)
    # The parser must know that we asked for an upgrade, or it would not accept a 101.
    asked = [("Host", "grafana"), ("Upgrade", "websocket")]
    parser.send(h11.Request(method="GET", target="/", headers=asked))
    parser.send(h11.EndOfMessage())
    parser.receive_data(received)
    head: h11.Response | h11.InformationalResponse | None = None
    body = b""
    try:
        while not isinstance(event := parser.next_event(), (h11.EndOfMessage, h11.ConnectionClosed)):
            if isinstance(event, (h11.Response, h11.InformationalResponse)):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                break
    except h11.RemoteProtocolError:
        # A body that breaks the rules does not make the status less true.
        if head is None:
            raise
    if head is None:
        return None
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers}
    return Answer(head.status_code, headers, body)


def refused_upgrade(
    received: bytes,
    *,
    peer: str,
    path: str,
    closed: bool,
    timeout_s: float,
    wall_now: float,
    secrets: Sequence[str],
) -> SinkError:
    """The error for an upgrade that did not become a socket.

    Args:
        received: what came back, from its first byte, perhaps cut.
        peer: ``host:port`` that was asked.
        path: the path that was asked for.
        closed: the other side closed the connection (else it answered, or fell silent).
        timeout_s: how long we waited for the answer, seconds.
        wall_now: seconds since 1970, for a Retry-After that is a date.
        secrets: never to be quoted.
    """
    if _TLS_RECORD.match(received):
        return SinkError(f"{peer} answered in TLS to plain HTTP: write https:// in grafana.url")
    try:
        answer = parse_answer(received)
    except h11.RemoteProtocolError:
        return SinkError(f"{peer} answered with something that is not HTTP: is grafana.url right?")
    if answer is None:
        what = "began an answer to the WebSocket upgrade" if received else "accepted the connection"
        if not closed:
            return SinkError(f"{peer} {what} and fell silent for {timeout_s:g} s: is it Grafana, is it well?")
        return SinkError(
            f"{peer} {what} and closed it: is Grafana starting, or a proxy without a Grafana behind it?"
        )
    return _refused(answer, peer, path, wall_now, secrets)


def _refused(answer: Answer, peer: str, path: str, wall_now: float, secrets: Sequence[str]) -> SinkError:
    status = answer.status
    said = _said(answer, secrets)
    start = f"{peer} answered {status} to the WebSocket upgrade"
    kind: type[SinkError] = SinkError
    wait_s: float | None = None
    match status:
        case 101:
            what = f"{_bad_switch(answer)}, a proxy in between does not speak WebSocket properly"
        case 200 if "text/html" in answer.headers.get("content-type", ""):
            what = "a page instead of a socket: a login page or a proxy stands before Grafana"
        case 301 | 302 | 303 | 307 | 308:
            target = masked(_redirect_host(answer.headers.get("location", "")) or peer, secrets)
            what = f"redirects to {target} are not followed, the token must not leave: correct grafana.url"
        case 400 | 426:
            what = f"it saw no proper upgrade{said}: let the proxy pass the headers Upgrade and Connection"
        case 401:
            kind = CredentialsRefused
            what = f"it does not accept these credentials{said}: make a new token"
        case 403:
            kind = CredentialsRefused
            what = f"push needs the organisation role Admin{said}: this token has Viewer or Editor?"
        case 404:
            # Not waited out as refused credentials are: while a container restarts Traefik has no route to it and
            # says 404, so most of them mend themselves in a moment.
            what = f"there is no {path}: is the sub-path in grafana.url right, is Grafana at least version 8?"
        case 429:
            wait_s = _retry_after_s(answer.headers.get("retry-after", ""), wall_now)
            what = "too many requests" + ("" if wait_s is None else f", we wait {wait_s:.0f} s as asked")
        case 500 if b"invalid api key" in answer.body.lower():
            kind = CredentialsRefused
            what = "invalid API key, the token was deleted or belongs to another Grafana: make a new one"
        case _ if status >= 500:
            wait_s = _retry_after_s(answer.headers.get("retry-after", ""), wall_now)
            what = f"{_phrase(status)}{said}: look at Grafana's log, or at the proxy before it"
        case _:
            what = f"{_phrase(status)}{said}: is it Grafana that grafana.url points to?"
    return kind(f"{start}: {what}", retry_after_s=wait_s)


def closed_socket(code: int, reason: str | None, *, peer: str, secrets: Sequence[str]) -> SinkError:
    """The error for an open push socket that has ended with a close `code` (RFC 6455, section 7.4)."""
    said = _quote(reason or "", secrets)
    match code:
        case 1000 | 1001 | 1012:
            return SinkError(
                f"{peer} closed the push socket in good order ({code}{said}): Grafana stops or restarts"
            )
        case 1006:
            return SinkError(
                f"{peer} cut the push socket without a close frame: Grafana or the network went away"
            )
        case 1002 | 1003 | 1007:
            return SinkError(
                f"the WebSocket to {peer} broke its protocol ({code}{said}): is a proxy in between?"
            )
        case 1008:
            return CredentialsRefused(
                f"{peer} closed the push socket by its policy (1008{said}): look at the token"
            )
        case 1009:
            return SinkError(
                f"a message on the push socket to {peer} was too large (1009{said}): is a proxy in between?"
            )
        case _:
            return SinkError(f"{peer} closed the push socket ({code}{said}): look at Grafana's log")


def _bad_switch(answer: Answer) -> str:
    if "sec-websocket-protocol" in answer.headers:
        return "it chose a subprotocol that nobody had offered"
    if "sec-websocket-extensions" in answer.headers:
        return "it chose an extension that nobody had offered"
    if answer.headers.get("upgrade", "").lower() != "websocket":
        return "it did not switch to WebSocket"
    return "its Sec-WebSocket-Accept does not belong to our request"


def _redirect_host(location: str) -> str | None:
    try:
        host = urlsplit(location).hostname
    except ValueError:
        return None
    return host if host and re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", host) else None


def _retry_after_s(header: str, wall_now: float) -> float | None:
    if re.fullmatch(r"\d{1,9}", header):
        wait_s = float(header)
    else:
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return None
        wait_s = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - wall_now
    return min(max(wait_s, 0.0), RETRY_AFTER_CAP_S)


def _said(answer: Answer, secrets: Sequence[str]) -> str:
    try:
        text = msgspec.json.decode(answer.body, type=dict[str, object]).get("message")
    except msgspec.DecodeError:
        text = answer.body.decode("utf-8", "replace")
    if not isinstance(text, str) or text.lstrip().startswith("<"):
        return ""
    return _quote(text, secrets)


def _quote(text: str, secrets: Sequence[str]) -> str:
    text = quoted(text, secrets, _QUOTE_CHARS)
    return f", it says {text!r}" if text else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "a status without a name"
