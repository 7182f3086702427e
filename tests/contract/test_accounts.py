"""Service accounts through the HTTP API: what `trio-bridge grafana token` builds on."""

from __future__ import annotations

import pytest

from tests.contract import versions
from tests.contract.target import Target, bearer, fresh_stream

ROOT = "/api/serviceaccounts"


async def test_a_name_exists_once_and_can_be_found(target: Target) -> None:
    """A second account of a name is refused with 400; the search finds the first one, with its role."""
    account = await target.account("Admin")
    again = await target.ask("POST", ROOT, {"name": account.name, "role": "Admin"})
    assert again.status_code == 400
    found = (await target.ask("GET", f"{ROOT}/search", params={"query": account.name})).json()
    [entry] = [entry for entry in found["serviceAccounts"] if entry["name"] == account.name]
    assert (entry["id"], entry["role"], entry["isDisabled"]) == (account.id, "Admin", False)


async def test_a_tokens_name_is_free_again_after_it_was_deleted(target: Target) -> None:
    """A second token of a name is refused with 409; once the first is deleted, the name may be used again."""
    account = await target.account("Viewer")
    tokens = f"{ROOT}/{account.id}/tokens"
    assert (await target.ask("POST", tokens, {"name": account.name})).status_code == 409
    listed = (await target.ask("GET", tokens)).json()
    assert [(token["id"], token["name"]) for token in listed] == [(account.token_id, account.name)]
    assert (await target.ask("DELETE", f"{tokens}/{account.token_id}")).status_code == 200
    assert (await target.ask("POST", tokens, {"name": account.name})).status_code == 200


async def test_a_role_can_be_changed(target: Target) -> None:
    """The search shows the role that was set last."""
    account = await target.account("Viewer")
    changed = await target.ask("PATCH", f"{ROOT}/{account.id}", {"role": "Admin"})
    assert changed.status_code == 200
    found = (await target.ask("GET", f"{ROOT}/search", params={"query": account.name})).json()
    assert [entry["role"] for entry in found["serviceAccounts"]] == ["Admin"]


async def test_a_disabled_account_is_refused(target: Target) -> None:
    """A token of a disabled account gets 401."""
    account = await target.account("Admin")
    disabled = await target.ask("PATCH", f"{ROOT}/{account.id}", {"isDisabled": True})
    assert disabled.status_code == 200
    status = await target.status_of_socket(f"/api/live/push/{fresh_stream()}", bearer(account.token))
    assert status == 401


@pytest.mark.parametrize("role", ["Viewer", "Editor"])
async def test_only_admins_make_accounts(target: Target, role: str) -> None:
    """A token that is no Admin's can make no account."""
    account = await target.account(role)
    async with target.http(bearer(account.token)) as client:
        answer = await client.post(ROOT, json={"name": account.name + "-2", "role": "Viewer"})
    assert answer.status_code == 403


async def test_a_deleted_account_takes_its_tokens_along(target: Target) -> None:
    """Its tokens are unknown, nobody finds it, and its name may be used again."""
    account = await target.account("Admin")
    assert (await target.ask("DELETE", f"{ROOT}/{account.id}")).status_code == 200
    target.made.remove(f"{ROOT}/{account.id}")
    status = await target.status_of_socket(f"/api/live/push/{fresh_stream()}", bearer(account.token))
    assert status in versions.unknown_token(target.major)
    found = (await target.ask("GET", f"{ROOT}/search", params={"query": account.name})).json()
    assert found["serviceAccounts"] == []
    again = await target.ask("POST", ROOT, {"name": account.name, "role": "Viewer"})
    assert again.status_code == 201
    target.made.append(f"{ROOT}/{again.json()['id']}")
