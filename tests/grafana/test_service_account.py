"""The token: made, tried, written, and only then do older ones go."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import ConfigError, CredentialsRefused, SinkError
from trio_bridge.grafana import service_account
from trio_bridge.grafana.push import open_push
from trio_bridge.grafana.service_account import renew_token
from trio_bridge.live import LiveServer
from trio_bridge.live.auth import Account, Role
from trio_bridge.live.faults import answer

NAME = "the bridge"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "token"


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("s3cr3t\n")
    return file


def admin(live: LiveServer, password_file: Path, user: str = "admin") -> GrafanaSettings:
    return GrafanaSettings(url=live.url, username=user, password_file=password_file)


def text(file: Path) -> str | None:
    return file.read_text() if file.exists() else None


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def names(live: LiveServer, account: Account) -> list[str]:
    return [token.name for token in live.accounts.tokens_of(account)]


async def test_a_first_token_opens_the_push_socket(out: Path, password_file: Path) -> None:
    """The account is made as an Admin; the file holds a token with which the bridge gets in, for its owner only."""
    async with LiveServer(password="s3cr3t") as live:
        done = await renew_token(admin(live, password_file), NAME, out)
        (account,) = live.accounts.find(NAME)
        assert (done.created, done.removed, account.role) == (True, (), Role.ADMIN)
        assert mode(out) == 0o600
        assert names(live, account) == [done.token]
        assert re.fullmatch(r"trio-bridge-\d{8}-\d{6}-\d{6}", done.token)
        async with open_push(GrafanaSettings(url=live.url, token_file=out), "pg"):
            pass


async def test_our_older_tokens_go_and_no_others(out: Path, password_file: Path) -> None:
    """A second call replaces file and token of the same account; tokens and accounts that are not ours stay."""
    async with LiveServer(password="s3cr3t") as live:
        live.accounts.add_account(f"{NAME} of somebody else", Role.VIEWER)
        first = await renew_token(admin(live, password_file), NAME, out)
        before = text(out)
        account = next(found for found in live.accounts.find(NAME) if found.name == NAME)
        live.accounts.add_token(account, "by hand")
        second = await renew_token(admin(live, password_file), NAME, out)
        assert (second.account, second.created, second.removed) == (first.account, False, (first.token,))
        assert names(live, account) == ["by hand", second.token]
        assert text(out) != before
        third = await renew_token(admin(live, password_file), NAME, out, keep_old=True)
        assert third.removed == ()
        assert names(live, account) == ["by hand", second.token, third.token]
    assert [file.name for file in out.parent.iterdir() if file.name.startswith(".")] == []


async def test_an_account_of_a_lower_role_is_raised(out: Path, password_file: Path) -> None:
    """The push socket lets in Admins only, so an account that is there becomes one."""
    async with LiveServer(password="s3cr3t") as live:
        account = live.accounts.add_account(NAME, Role.VIEWER)
        await renew_token(admin(live, password_file), NAME, out)
        assert account.role is Role.ADMIN


async def test_a_disabled_account_stays_disabled(out: Path, password_file: Path) -> None:
    """Somebody disabled it on purpose: we say so and make nothing."""
    async with LiveServer(password="s3cr3t") as live:
        account = live.accounts.add_account(NAME, Role.ADMIN)
        account.disabled = True
        with pytest.raises(ConfigError, match="is disabled in Grafana: enable it"):
            await renew_token(admin(live, password_file), NAME, out)
        assert (account.disabled, names(live, account), text(out)) == (True, [], None)


async def test_a_token_that_does_not_work_replaces_nothing(out: Path, password_file: Path) -> None:
    """While the push socket refuses, the old file and the old token stay."""
    async with LiveServer(password="s3cr3t") as live:
        first = await renew_token(admin(live, password_file), NAME, out)
        before = text(out)
        live.faults.refusal = answer(403)
        with pytest.raises(SinkError, match=r"the new token does not open the push socket: .*403"):
            await renew_token(admin(live, password_file), NAME, out)
        (account,) = live.accounts.find(NAME)
        assert text(out) == before
        assert names(live, account)[0] == first.token
        live.faults.refusal = None
        await renew_token(admin(live, password_file), NAME, out)
        assert len(names(live, account)) == 1


async def test_a_changed_role_is_given_its_time(
    out: Path, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Grafana knows a user's old role for some seconds: only then is a refusal asked about again, and not for ever."""
    monkeypatch.setattr(service_account, "ROLE_COUNTS_S", 0.2)
    monkeypatch.setattr(service_account, "_AGAIN_S", 0.05)
    async with LiveServer(password="s3cr3t") as live:
        live.accounts.add_account(NAME, Role.VIEWER)
        live.faults.refusal = answer(403)
        with pytest.raises(SinkError, match="does not open"):
            await renew_token(admin(live, password_file), NAME, out)


async def test_a_file_that_cannot_be_written_makes_no_token(tmp_path: Path, password_file: Path) -> None:
    """A missing folder is found before Grafana is asked; a folder in the file's place is the operator's mistake too."""
    async with LiveServer(password="s3cr3t") as live:
        with pytest.raises(ConfigError, match="cannot be written: No such file"):
            await renew_token(admin(live, password_file), NAME, tmp_path / "none" / "token")
        assert live.accounts.find(NAME) == []
        (tmp_path / "folder").mkdir()
        with pytest.raises(ConfigError, match="cannot be written: Is a directory"):
            await renew_token(admin(live, password_file), NAME, tmp_path / "folder")


async def test_credentials_of_no_admin_are_named(out: Path, password_file: Path) -> None:
    """A wrong password and an Editor's have different sentences; the password is in neither."""
    async with LiveServer(password="right") as live:
        with pytest.raises(CredentialsRefused, match=r"401 .*user and password") as refused:
            await renew_token(admin(live, password_file), NAME, out)
        live.accounts.add_user("ed", "s3cr3t", Role.EDITOR)
        with pytest.raises(CredentialsRefused, match=r"403 .*role Admin") as forbidden:
            await renew_token(admin(live, password_file, "ed"), NAME, out)
    assert "s3cr3t" not in f"{refused.value}{forbidden.value}"
    assert text(out) is None
