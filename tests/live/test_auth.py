"""The table of credentials, endpoints and statuses seen on Grafana 9.4."""

from __future__ import annotations

import pytest
from trio_websocket import ConnectionRejected

from tests.live.clients import basic, bearer, http, websocket
from trio_bridge.live import LiveServer
from trio_bridge.live.auth import Denied, Role, new_token

PUSH, BROWSER = "/api/live/push/pg", "/api/live/ws"


def credentials(live: LiveServer, who: str) -> dict[str, str]:
    """The header of each row of the table."""
    accounts = live.accounts
    match who.split():
        case ["nobody"]:
            return {}
        case ["anonymous", role]:
            accounts.anonymous = Role(role)
            return {}
        case ["token", role]:
            return bearer(accounts.add_token(accounts.add_account("x", Role(role)), "x"))
        case ["user", role]:
            accounts.add_user("u", "p", Role(role))
            return basic("u", "p")
        case ["expired"]:
            token = accounts.add_token(accounts.add_account("x", Role.ADMIN), "x")
            accounts.expire(token)
            return bearer(token)
        case ["disabled"]:
            account = accounts.add_account("x", Role.ADMIN)
            account.disabled = True
            return bearer(accounts.add_token(account, "x"))
        case ["revoked"]:
            token = accounts.add_token(accounts.add_account("x", Role.ADMIN), "x")
            accounts.revoke(token)
            return bearer(token)
    return {
        "admin": basic("admin", "admin"),
        "api_key": basic("api_key", live.token),
        "malformed": bearer("glsa_" + "x" * 32 + "_00000000"),
        "wrong-password": basic("admin", "wrong"),
        "broken-basic": {"Authorization": "Basic !"},
        "other-scheme": {"Authorization": "Digest x"},
        "unknown": bearer(new_token()),
        "foreign-origin": bearer(live.token) | {"Origin": "http://elsewhere.example"},
        "own-origin": bearer(live.token) | {"Origin": live.url},
    }[who]


async def socket_status(live: LiveServer, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """The status of a handshake, and the body of a refusal."""
    try:
        async with websocket(live, path, headers):
            return 101, b""
    except* ConnectionRejected as group:
        [rejected] = group.exceptions
        assert isinstance(rejected, ConnectionRejected)
        refusal = rejected.status_code, rejected.body or b""
    return refusal


DENIED = b'{"message": "Permission denied"}'


@pytest.mark.parametrize(
    ("who", "push", "post", "browser"),
    [
        ("nobody", (403, DENIED), 401, 401),
        ("anonymous Viewer", (403, DENIED), 200, 101),
        ("anonymous Editor", (403, DENIED), 200, 101),
        ("malformed", (401, b'{"message": "Invalid API key"}'), 401, 401),
        ("wrong-password", (401, b'{"message": "Invalid username or password"}'), 401, 401),
        ("broken-basic", (401, b'{"message": "Invalid Basic Auth Header"}'), 401, 401),
        ("other-scheme", (401, b'{"message": "Unauthorized"}'), 401, 401),
        ("expired", (401, b'{"message": "Expired API key"}'), 401, 401),
        ("disabled", (401, b'{"message": "Service account is disabled"}'), 401, 401),
        ("unknown", (500, b'{"message": "invalid API key"}'), 500, 500),
        ("revoked", (500, b'{"message": "invalid API key"}'), 500, 500),
        ("token Viewer", (403, DENIED), 200, 101),
        ("token Editor", (403, DENIED), 200, 101),
        ("user Viewer", (403, DENIED), 200, 101),
        ("token Admin", (101, b""), 200, 101),
        ("user Admin", (101, b""), 200, 101),
        ("admin", (101, b""), 200, 101),
        ("api_key", (101, b""), 200, 101),
        ("own-origin", (101, b""), 200, 101),
        ("foreign-origin", (403, b"Forbidden"), 200, 403),
    ],
)
async def test_each_credential_gets_the_status_seen(
    who: str, push: tuple[int, bytes], post: int, browser: int
) -> None:
    """Push socket, POST and browser socket answer each kind of credential as the real server did."""
    async with LiveServer() as live, http(live) as client:
        headers = credentials(live, who)
        assert await socket_status(live, PUSH, headers) == push
        assert (await client.post(PUSH, headers=headers, content=b"m v=1 5")).status_code == post
        assert (await socket_status(live, BROWSER, headers))[0] == browser


async def test_an_open_socket_outlives_its_token() -> None:
    """Authentication happens once: revoking the token does not close what it opened."""
    async with LiveServer() as live, websocket(live, PUSH, bearer(live.token)) as push:
        live.accounts.revoke(live.token)
        await push.send_message("m v=1 5")
        await push.ping()
        assert live.counters.messages == 1
        assert (await socket_status(live, PUSH, bearer(live.token)))[0] == 500


def test_the_refusal_knows_its_body() -> None:
    """Refusals are JSON, but for the one about the Origin."""
    assert Denied(403, "Forbidden", is_json=False).body() == b"Forbidden"
    assert Denied(401, "x").body() == b'{"message": "x"}'
