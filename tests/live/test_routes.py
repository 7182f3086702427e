"""The HTTP side: posts, lists, settings, service accounts, pages and events."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from tests.live.clients import basic, bearer, http
from trio_bridge.live import LiveServer
from trio_bridge.live.auth import Role

PUSH = "/api/live/push/pg"


@pytest.mark.parametrize(
    ("body", "frame_format", "status"),
    [
        (b"m v=1 5", None, 200),
        (b"m v=1 5", "wide", 200),
        (b"", None, 200),
        (b"bad", None, 500),
        (b"m v=1 5", "prometheus", 400),
    ],
)
async def test_a_post_is_answered_with_a_status_and_no_body(
    body: bytes, frame_format: str | None, status: int
) -> None:
    """Good lines are 200, bad ones 500, a format nobody knows 400; never a body."""
    params = {"gf_live_frame_format": frame_format} if frame_format else {}
    async with LiveServer() as live, http(live, bearer(live.token)) as client:
        answer = await client.post(PUSH, params=params, content=body)
        assert (answer.status_code, answer.content) == (status, b"")
        assert live.counters.messages == (status == 200)


async def test_posts_are_observed_like_messages_of_a_socket() -> None:
    """Posts on one connection are deliveries of that connection, numbered."""
    async with LiveServer(keep_log=True) as live, http(live, bearer(live.token)) as client:
        for number in range(3):
            await client.post(PUSH, content=f"m v={number} 5")
    assert [(delivery.connection, delivery.sequence) for delivery in live.deliveries] == [
        (1, 1),
        (1, 2),
        (1, 3),
    ]


async def test_the_list_shows_what_was_published() -> None:
    """Every channel that had data is listed with its schema and its publications of the last minute."""
    async with LiveServer() as live, http(live, bearer(live.token)) as client:
        for _ in range(3):
            await client.post(PUSH, content="m v=1 5\na\\ b w=t 5")
        [first, second] = (await client.get("/api/live/list")).json()["channels"]
        assert (first["channel"], first["minute_rate"]) == ("stream/pg/m", 3)
        assert (second["channel"], second["data"]["schema"]["fields"][2]["type"]) == (
            "stream/pg/a b",
            "boolean",
        )
        assert (await client.get("/api/live/list", headers={"Authorization": "Bearer x"})).status_code == 401


@pytest.mark.parametrize("namespaced", [True, False])
async def test_health_and_settings_need_nobody(namespaced: bool) -> None:
    """Anybody may ask whether Grafana lives and whether its channels have namespaces."""
    async with LiveServer(live_namespaced=namespaced) as live, http(live) as client:
        assert (await client.get("/api/health")).json()["database"] == "ok"
        assert (await client.get("/api/frontend/settings")).json()["liveNamespaced"] is namespaced
        assert (await client.get("/api/nothing")).status_code == 404
        assert (await client.get("/nothing")).status_code == 404


async def test_a_service_account_gets_a_token_that_works() -> None:
    """Create, find, make a token, use it; a second of the same name is refused as Grafana does."""
    async with LiveServer(password="secret") as live, http(live, basic("admin", "secret")) as client:
        created = await client.post("/api/serviceaccounts", json={"name": "mine", "role": "Admin"})
        assert created.status_code == 201
        number = created.json()["id"]
        assert (await client.post("/api/serviceaccounts", json={"name": "mine"})).status_code == 400
        found = (await client.get("/api/serviceaccounts/search", params={"query": "MIN"})).json()
        assert [account["id"] for account in found["serviceAccounts"]] == [number]
        tokens = f"/api/serviceaccounts/{number}/tokens"
        made = await client.post(tokens, json={"name": "t"})
        assert made.status_code == 200
        assert (await client.post(tokens, json={"name": "t"})).status_code == 409
        assert (await client.post("/api/serviceaccounts/99/tokens", json={"name": "t"})).status_code == 404
        posted = await client.post(PUSH, headers=bearer(made.json()["key"]), content="m v=1 5")
        assert posted.status_code == 200


@pytest.mark.parametrize("body", [b"", b"[]", b'{"name":""}', b'{"name":"x","role":"God"}', b'{"name":1}'])
async def test_a_nonsensical_service_account_is_refused(body: bytes) -> None:
    """What names no account or no role is 400."""
    async with LiveServer() as live, http(live, basic("admin", "admin")) as client:
        assert (await client.post("/api/serviceaccounts", content=body)).status_code == 400


async def test_service_accounts_are_the_admins_business() -> None:
    """Nobody gets 401 and a Viewer 403."""
    async with LiveServer() as live, http(live) as client:
        assert (await client.post("/api/serviceaccounts", json={"name": "x"})).status_code == 401
        account = await client.post(
            "/api/serviceaccounts", json={"name": "v", "role": "Viewer"}, headers=bearer(live.token)
        )
        key = await client.post(
            f"/api/serviceaccounts/{account.json()['id']}/tokens",
            json={"name": "t"},
            headers=bearer(live.token),
        )
        refused = await client.get("/api/serviceaccounts/search", headers=bearer(key.json()["key"]))
        assert refused.status_code == 403


async def test_tokens_are_listed_and_deleted() -> None:
    """A deleted token is unknown from then on, and its name free; another account's is out of reach."""
    async with LiveServer() as live, http(live, basic("admin", "admin")) as client:
        [mine, other] = [live.accounts.add_account(name, Role.ADMIN) for name in ("mine", "other")]
        key = live.accounts.add_token(mine, "t")
        [token] = (await client.get(f"/api/serviceaccounts/{mine.id}/tokens")).json()
        assert token["name"] == "t"
        below = f"tokens/{token['id']}"
        assert (await client.delete(f"/api/serviceaccounts/{other.id}/{below}")).status_code == 404
        assert (await client.delete(f"/api/serviceaccounts/{mine.id}/{below}")).status_code == 200
        assert (await client.delete(f"/api/serviceaccounts/{mine.id}/{below}")).status_code == 404
        assert (await client.post(PUSH, headers=bearer(key))).status_code == 500
        again = await client.post(f"/api/serviceaccounts/{mine.id}/tokens", json={"name": "t"})
        assert again.status_code == 200


async def test_an_accounts_role_is_changed() -> None:
    """The new role counts for its tokens."""
    async with LiveServer() as live, http(live, basic("admin", "admin")) as client:
        account = live.accounts.add_account("mine", Role.VIEWER)
        changed = await client.patch(f"/api/serviceaccounts/{account.id}", json={"role": "Admin"})
        assert changed.json()["serviceaccount"]["role"] == "Admin"
        assert account.role is Role.ADMIN


async def test_dashboards_are_kept_by_uid() -> None:
    """An Editor saves; who may not overwrite is told so; a title there must be; what was saved comes back."""
    async with LiveServer() as live, http(live) as client:
        keys = {}
        for role in (Role.VIEWER, Role.EDITOR):
            keys[role] = bearer(live.accounts.add_token(live.accounts.add_account(role.value, role), "t"))
        save, body = "/api/dashboards/db", {"dashboard": {"uid": "u", "title": "t"}}
        assert (await client.post(save, json=body)).status_code == 401
        assert (await client.post(save, json=body, headers=keys[Role.VIEWER])).status_code == 403
        client.headers = keys[Role.EDITOR]
        saved = [await client.post(save, json=body | more) for more in ({}, {}, {"overwrite": True})]
        assert [answer.status_code for answer in saved] == [200, 412, 200]
        assert saved[2].json()["version"] == 2
        kept = (await client.get("/api/dashboards/uid/u")).json()["dashboard"]
        assert kept == {"uid": "u", "title": "t", "version": 2}
        assert (await client.get("/api/dashboards/uid/x")).status_code == 404
        for nonsense in ("{}", '{"dashboard": {}}'):
            assert (await client.post(save, content=nonsense)).status_code == 400


async def test_data_sources_are_those_that_were_put_there() -> None:
    """An Admin may look at a data source by its uid."""
    async with LiveServer() as live, http(live, bearer(live.token)) as client:
        live.shelf.sources["pg"] = {"type": "grafana-postgresql-datasource"}
        found = (await client.get("/api/datasources/uid/pg")).json()
        assert found == {"type": "grafana-postgresql-datasource", "uid": "pg"}
        assert (await client.get("/api/datasources/uid/x")).status_code == 404


async def test_pages_are_served_as_given() -> None:
    """The demo's pages come with their content types; several requests share a connection."""
    pages = {"/": ("text/html", b"<p>"), "/a/b.js": ("text/javascript", b"1")}
    async with LiveServer(pages=pages) as live, http(live) as client:
        for path, (content_type, body) in pages.items():
            answer = await client.get(path)
            assert (answer.headers["content-type"], answer.content) == (content_type, body)


async def test_events_are_streamed_until_they_end_or_the_visitor_leaves() -> None:
    """Each event is one server-sent event; an iterator that is left in the middle is closed."""
    closed = trio.Event()
    more = trio.Event()

    async def events() -> AsyncIterator[str]:
        try:
            yield "one"
            await more.wait()
            while True:
                yield "two"
                await trio.lowlevel.checkpoint()
        finally:
            closed.set()

    async with LiveServer(events=events) as live:
        async with await trio.open_tcp_stream("127.0.0.1", live.port) as stream:
            await stream.send_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"text/event-stream" in await receive_until(stream, b"data: one\n\n")
            more.set()
            await receive_until(stream, b"data: two\n\n")
        await closed.wait()


async def receive_until(stream: trio.SocketStream, end: bytes) -> bytes:
    """Reads until `end` has come."""
    data = b""
    while end not in data:
        more = await stream.receive_some()
        assert more, data
        data += more
    return data


async def test_what_is_not_http_is_refused() -> None:
    """Junk gets a 400, not a hang or a crash, and the server goes on."""
    async with LiveServer() as live, http(live) as client:
        async with await trio.open_tcp_stream("127.0.0.1", live.port) as stream:
            await stream.send_all(b"\x16\x03\x01 junk\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
            assert await stream.receive_some() == b""
        with pytest.raises(httpx.HTTPStatusError):
            (await client.get(PUSH, headers=bearer(live.token))).raise_for_status()
        assert (await client.get("/api/health")).status_code == 200
