"""Who may push, post and look: the statuses by which the bridge tells credentials from everything else."""

from __future__ import annotations

import pytest

from tests.contract import versions
from tests.contract.target import Target, bearer, fresh_stream
from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import CredentialsRefused
from trio_bridge.grafana.push import open_push
from trio_bridge.live.auth import new_token
from trio_bridge.secret import Secret

LINE = "m v=1 1700000000000000000"


@pytest.mark.parametrize("role", ["Viewer", "Editor", "Admin"])
async def test_only_an_admin_opens_the_push_socket(target: Target, role: str) -> None:
    """The upgrade wants the organisation role Admin exactly; any other gets 403."""
    account = await target.account(role)
    path = f"/api/live/push/{fresh_stream()}"
    assert await target.status_of_socket(path, bearer(account.token)) == (101 if role == "Admin" else 403)


@pytest.mark.parametrize("role", ["Viewer", "Editor", "Admin"])
async def test_any_role_may_look(target: Target, role: str) -> None:
    """The browser's socket takes every role."""
    account = await target.account(role)
    assert await target.status_of_socket("/api/live/ws", bearer(account.token)) == 101


async def test_who_may_post(target: Target) -> None:
    """An Editor and an Admin may post a message; a Viewer may too before Grafana 13."""
    allowed = {"Viewer": versions.viewer_posts(target.major), "Editor": {200}, "Admin": {200}}
    for role, statuses in allowed.items():
        account = await target.account(role)
        assert await target.post(fresh_stream(), LINE, bearer(account.token)) in statuses, role


async def test_nobody_is_refused(target: Target) -> None:
    """Without credentials the push socket is refused; so are a post and a look where anonymous access is off."""
    path = f"/api/live/push/{fresh_stream()}"
    assert await target.status_of_socket(path, None) in versions.nobody_pushes(target.major)
    if not target.anonymous:
        assert await target.post(fresh_stream(), LINE, None) == 401
        assert await target.status_of_socket("/api/live/ws", None) == 401


@pytest.mark.parametrize("token", ["nonsense", "glsa_" + "x" * 32 + "_00000000"])
async def test_malformed_token_is_401(target: Target, token: str) -> None:
    """What has not the form of a token, or a wrong checksum, is refused with 401."""
    path = f"/api/live/push/{fresh_stream()}"
    assert await target.status_of_socket(path, bearer(token)) == 401
    assert await target.post(fresh_stream(), LINE, bearer(token)) == 401


async def test_unknown_and_deleted_tokens_look_alike(target: Target) -> None:
    """A token of another Grafana and one that was deleted get the same status, which is 500 on Grafana 9."""
    account = await target.account("Admin")
    path = f"/api/live/push/{fresh_stream()}"
    assert await target.status_of_socket(path, bearer(account.token)) == 101
    deleted = await target.ask("DELETE", f"/api/serviceaccounts/{account.id}/tokens/{account.token_id}")
    assert deleted.status_code == 200
    for token in (account.token, new_token()):
        assert await target.status_of_socket(path, bearer(token)) in versions.unknown_token(target.major)


async def test_foreign_origin_is_refused(target: Target) -> None:
    """A page of another host may not push, whoever it is: hence the bridge sends no Origin."""
    headers = {**target.admin, "Origin": "http://elsewhere.example"}
    assert await target.status_of_socket(f"/api/live/push/{fresh_stream()}", headers) == 403


async def test_the_bridge_names_refused_credentials(target: Target) -> None:
    """The bridge's own client opens with an Admin's token, and tells a Viewer's and an unknown one as credentials."""
    admin, viewer = await target.account("Admin"), await target.account("Viewer")
    async with open_push(GrafanaSettings(url=target.url, token=Secret(admin.token)), fresh_stream()) as push:
        await push.send(LINE.encode())
    for token in (viewer.token, new_token()):
        with pytest.raises(CredentialsRefused):
            async with open_push(GrafanaSettings(url=target.url, token=Secret(token)), fresh_stream()):
                pass
