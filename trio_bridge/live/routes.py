"""What answers which path: the part of Grafana's HTTP API around Live, and the pages of the demo.

    GET  /api/live/push/<id>               the push socket
    POST /api/live/push/<id>               one message; 200, 500 for a bad line, 400 for an unknown format, no body
    GET  /api/live/ws                      the subscriber's socket
    GET  /api/live/list                    the channels that have had data
    GET  /api/health, /api/frontend/settings
    POST /api/serviceaccounts              GET /api/serviceaccounts/search?query=
    PATCH /api/serviceaccounts/<id>        its role, or whether it is disabled
    DELETE /api/serviceaccounts/<id>       with its tokens
    POST, GET /api/serviceaccounts/<id>/tokens         DELETE /api/serviceaccounts/<id>/tokens/<token id>
    POST /api/dashboards/db                GET, DELETE /api/dashboards/uid/<uid>
    POST /api/datasources                  GET, DELETE /api/datasources/uid/<uid>
    GET  /events, /<page>                  of the constructor's `events` and `pages`

Reads requests off one connection until it ends or becomes a socket. Never opens anything.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from trio_bridge.live.auth import (
    Account,
    Accounts,
    Denied,
    Role,
    Taken,
    check_admin,
    check_editor,
    check_origin,
    check_push_socket,
    check_signed_in,
)
from trio_bridge.live.channels import Channels
from trio_bridge.live.faults import Faults
from trio_bridge.live.frames import UnknownFormat
from trio_bridge.live.intake import Intake
from trio_bridge.live.lines import BadLine
from trio_bridge.live.peer import Peer, Request
from trio_bridge.live.shelf import Shelf

_DEFAULT_FORMAT = "labels_column"
_NOT_FOUND = {"message": "Not found"}


class Server(Protocol):
    """What the routes need of the server."""

    accounts: Accounts
    channels: Channels
    faults: Faults
    shelf: Shelf
    live_namespaced: bool
    pages: Mapping[str, tuple[str, bytes]]
    events: Callable[[], AsyncIterator[str]] | None

    async def push_socket(
        self, peer: Peer, request: Request, intake: Intake, stream_id: str, frame_format: str
    ) -> None:
        """Upgrades the connection to a push socket and runs it."""

    async def subscriber_socket(self, peer: Peer, request: Request) -> None:
        """Upgrades the connection to a subscriber's socket and runs it."""


async def serve_peer(server: Server, peer: Peer, intake: Intake) -> None:
    """Answers the requests of one connection until it ends."""
    while True:
        request = await peer.request()
        if request is None:
            return
        try:
            went_on = await _route(server, peer, request, intake)
        except Denied as denied:
            await peer.answer(
                denied.status, denied.body(), "application/json" if denied.is_json else "text/plain"
            )
            went_on = True
        if not went_on or not peer.next():
            return


async def _route(server: Server, peer: Peer, request: Request, intake: Intake) -> bool:
    """Answers one request; False if the connection cannot carry another."""
    match (request.method, *request.path):
        case ("GET" | "POST", "api", "live", "push", stream_id):
            return await _push(server, peer, request, intake, stream_id)
        case ("GET", "api", "live", "ws") if request.wants_socket:
            check_signed_in(_role(server, request))
            check_origin(foreign_origin=request.has_foreign_origin)
            await server.subscriber_socket(peer, request)
            return False
        case ("GET", "api", "live", "list"):
            check_signed_in(_role(server, request))
            await _json(peer, 200, {"channels": list(server.channels.listed())})
        case ("GET", "api", "health"):
            await _json(peer, 200, {"database": "ok", "version": "stand-in"})
        case ("GET", "api", "frontend", "settings"):
            await _json(peer, 200, {"liveEnabled": True, "liveNamespaced": server.live_namespaced})
        case (_, "api", "serviceaccounts", *rest):
            check_admin(_role(server, request))
            await _json(peer, *_service_accounts(server.accounts, request, tuple(rest)))
        case ("POST", "api", "dashboards", "db"):
            check_editor(_role(server, request))
            await _json(peer, *server.shelf.save(request.json()))
        case ("GET", "api", "dashboards", "uid", uid):
            check_signed_in(_role(server, request))
            await _json(peer, *server.shelf.dashboard(uid))
        case ("DELETE", "api", "dashboards", "uid", uid):
            check_editor(_role(server, request))
            await _json(peer, *server.shelf.remove_dashboard(uid))
        case ("POST", "api", "datasources"):
            check_admin(_role(server, request))
            await _json(peer, *server.shelf.add_source(request.json()))
        case ("GET", "api", "datasources", "uid", uid):
            check_admin(_role(server, request))
            await _json(peer, *server.shelf.source(uid))
        case ("DELETE", "api", "datasources", "uid", uid):
            check_admin(_role(server, request))
            await _json(peer, *server.shelf.remove_source(uid))
        case ("GET", "events") if server.events is not None:
            await peer.answer_events(server.events())
        case ("GET", *_) if (page := server.pages.get("/" + "/".join(request.path))) is not None:
            content_type, body = page
            await peer.answer(200, body, content_type)
        case _:
            await _json(peer, 404, _NOT_FOUND)
    return True


def _role(server: Server, request: Request) -> Role | None:
    return server.accounts.role_of(request.headers.get("authorization"))


async def _json(peer: Peer, status: int, body: Any) -> None:
    await peer.answer(status, json.dumps(body).encode())


async def _push(server: Server, peer: Peer, request: Request, intake: Intake, stream_id: str) -> bool:
    refusal = server.faults.refusal
    if refusal is not None:
        await peer.stream.send_all(refusal.raw)
        # A peer that is left hanging sends nothing more until it gives up and closes.
        while refusal.hang and await peer.stream.receive_some():
            pass
        return False
    frame_format = request.query.get("gf_live_frame_format") or _DEFAULT_FORMAT
    role = _role(server, request)
    if request.method == "POST":
        check_signed_in(role)
        await peer.answer(_posted(intake, request.body, stream_id, frame_format), b"")
        return True
    check_push_socket(role, foreign_origin=request.has_foreign_origin)
    await server.push_socket(peer, request, intake, stream_id, frame_format)
    return False


def _posted(intake: Intake, body: bytes, stream_id: str, frame_format: str) -> int:
    try:
        intake.take(body, time.monotonic(), stream_id, frame_format)
    except BadLine:
        return 500
    except UnknownFormat:
        return 400
    return 200


def _service_accounts(accounts: Accounts, request: Request, rest: tuple[str, ...]) -> tuple[int, Any]:
    """The status and the JSON body of the answer."""
    body = request.json()
    match (request.method, *rest):
        case ("POST",):
            return _new_account(accounts, body)
        case ("GET", "search"):
            found = accounts.find(request.query.get("query", ""))
            return 200, {"totalCount": len(found), "serviceAccounts": [_shown(account) for account in found]}
        case (_, account_id, *below) if account_id.isdecimal():
            account = accounts.by_id(int(account_id))
            if account is None:
                return 404, {"message": "service account not found"}
            return _service_account(accounts, account, request.method, tuple(below), body)
    return 404, _NOT_FOUND


def _service_account(
    accounts: Accounts, account: Account, method: str, below: tuple[str, ...], body: dict[str, Any]
) -> tuple[int, Any]:
    match (method, *below):
        case ("PATCH",):
            account.role = Role(body.get("role", account.role.value))
            account.disabled = bool(body.get("isDisabled", account.disabled))
            return 200, {"id": account.id, "name": account.name, "serviceaccount": _shown(account)}
        case ("DELETE",):
            accounts.remove_account(account)
            return 200, {"message": "Service account deleted"}
        case ("GET", "tokens"):
            return 200, [{"id": token.id, "name": token.name} for token in accounts.tokens_of(account)]
        case ("POST", "tokens"):
            try:
                key = accounts.add_token(account, str(body.get("name", "")))
            except Taken as taken:
                return 409, {"message": f"service account token with name {taken} already exists"}
            return 200, {"id": accounts.tokens_of(account)[-1].id, "name": body.get("name", ""), "key": key}
        case ("DELETE", "tokens", token_id) if token_id.isdecimal():
            if accounts.revoke_id(account, int(token_id)):
                return 200, {"message": "Service account token deleted"}
    return 404, _NOT_FOUND


def _new_account(accounts: Accounts, body: dict[str, Any]) -> tuple[int, Any]:
    name, role = body.get("name"), body.get("role", "Viewer")
    if not isinstance(name, str) or not name or role not in [known.value for known in Role]:
        return 400, {"message": "bad request data"}
    try:
        account = accounts.add_account(name, Role(role))
    except Taken:
        return 400, {"message": "service account already exists"}
    return 201, _shown(account)


def _shown(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "role": account.role.value,
        "isDisabled": account.disabled,
        "tokens": len(account.token_names),
    }
