"""A service account of ours in Grafana and a fresh token of it → a file that only we can read.

The account has the organisation role **Admin**, because Grafana's push socket lets nobody else in (Grafana:
pkg/services/live/pushws); nothing less works, and nothing here needs more. The account is looked up by its name and
made if it is not there; each call makes one more token, whose name carries the time.

In this order, so that a bridge that runs meanwhile always finds a token that works: the new token opens the push
socket; the file is replaced in one step; only then are the older tokens *of ours* deleted (sockets that are open stay
open). Whatever fails before the file is replaced leaves file and old tokens as they were; a token that was made for
nothing goes with the next call. The token is in no message.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import ConfigError, CredentialsRefused, SinkError
from trio_bridge.grafana.api import Api, open_api
from trio_bridge.grafana.credentials import authorization
from trio_bridge.grafana.push import open_push
from trio_bridge.secret import Secret

ACCOUNTS: Final = "/api/serviceaccounts"

ROLE: Final = "Admin"
"""What the push socket asks for."""

PREFIX: Final = "trio-bridge-"
"""Begins the name of every token that we made; others are none of our business."""

# Grafana keeps what it knows of a user for 5 s; a changed role counts after that.
ROLE_COUNTS_S: Final = 8.0
_AGAIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Renewed:
    """What was done.

    Attributes:
        account: id of the service account.
        created: whether it was made now.
        token: the new token's name.
        removed: names of the older tokens that were deleted.
    """

    account: int
    created: bool
    token: str
    removed: tuple[str, ...]


async def renew_token(admin: GrafanaSettings, name: str, out: Path, *, keep_old: bool = False) -> Renewed:
    """Makes a token of service account `name` and writes it to `out`.

    Args:
        admin: where Grafana is, with the credentials of an Admin of the organisation.
        name: of the service account; made if it is not there.
        out: replaced in one step; only its owner may read it.
        keep_old: leave our older tokens as they are.

    Raises:
        ConfigError: the credentials' file or `out` cannot be used, or the account is disabled.
        SinkError: Grafana cannot be reached or refuses, or the new token does not open the push socket.
    """
    async with open_api(admin, await authorization(admin)) as api:
        with _replacing(out) as write:
            account, created, changed = await _account(api, name)
            tokens = f"{ACCOUNTS}/{account}/tokens"
            older = [token for token in await api.get(tokens) if str(token["name"]).startswith(PREFIX)]
            token = f"{PREFIX}{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
            made = await api.ask("POST", tokens, {"name": token})
            key = Secret(str(made["key"]))
            bridge = msgspec.structs.replace(admin, token=key, username=None, password_file=None)
            await _check(bridge, patience_s=ROLE_COUNTS_S if changed else 0.0)
            write(key)
        removed = []
        for old in [] if keep_old else older:
            await api.ask("DELETE", f"{tokens}/{old['id']}")
            removed.append(str(old["name"]))
    return Renewed(account, created, token, tuple(removed))


async def _account(api: Api, name: str) -> tuple[int, bool, bool]:
    """Id of the account, whether it was made now, whether its role was changed now."""
    # The search answers with every name that contains the text.
    found = await api.get(f"{ACCOUNTS}/search", query=name)
    for account in found["serviceAccounts"]:
        if account["name"] != name:
            continue
        if account["isDisabled"]:
            raise ConfigError(
                f'the service account "{name}" is disabled in Grafana: enable it there, or give another --name'
            )
        if account["role"] == ROLE:
            return int(account["id"]), False, False
        await api.ask("PATCH", f"{ACCOUNTS}/{account['id']}", {"role": ROLE})
        return int(account["id"]), False, True
    made: dict[str, Any] = await api.ask("POST", ACCOUNTS, {"name": name, "role": ROLE})
    return int(made["id"]), True, False


async def _check(settings: GrafanaSettings, *, patience_s: float) -> None:
    """Opens the push socket once, as the bridge will; a role that was changed just now may take its time."""
    deadline = trio.current_time() + patience_s
    while True:
        try:
            async with open_push(settings, "pg"):
                return
        except CredentialsRefused as refusal:
            if trio.current_time() >= deadline:
                raise SinkError(f"the new token does not open the push socket: {refusal}") from None
        await trio.sleep(_AGAIN_S)


@contextmanager
def _replacing(out: Path) -> Iterator[Any]:
    """A function that makes a secret the whole content of `out`; that it can is known before anything is made."""
    try:
        handle, text = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}") from None
    part = Path(text)

    def write(secret: Secret) -> None:
        with os.fdopen(handle, "w", encoding="ascii", closefd=False) as file:
            file.write(secret.reveal() + "\n")
            file.flush()
            os.fsync(handle)
        try:
            part.replace(out)
        except OSError as error:
            raise ConfigError(f"{out} cannot be written: {error.strerror}") from None

    try:
        yield write
    finally:
        os.close(handle)
        with suppress(FileNotFoundError):
            part.unlink()
