"""Who may do what, and the exact refusal for who may not: the table of statuses seen on Grafana 9.4.

Credentials are a Bearer token of a service account, Basic user and password, or Basic ``api_key:<token>``. They are
looked at once per request; an open socket outlives its token. Surprising and true: a well-formed but unknown token is
answered with 500, no credentials at all with 403 on the push socket but 401 on the POST, and a Viewer may POST what it
may not push.

Secrets live here in plain text, made at random: this is a stand-in on loopback, not a place for real ones.
"""

from __future__ import annotations

import base64
import binascii
import enum
import itertools
import json
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field

ALPHANUMERIC = string.ascii_letters + string.digits
_TOKEN = re.compile(r"glsa_([A-Za-z0-9]{32})_([0-9a-f]{8})")


class Role(enum.Enum):
    """A role in the organisation."""

    VIEWER = "Viewer"
    EDITOR = "Editor"
    ADMIN = "Admin"


class Taken(Exception):
    """The name exists."""


class Denied(Exception):
    """The answer to a request that may not go on."""

    def __init__(self, status: int, message: str, *, is_json: bool = True) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message
        self.is_json = is_json

    def body(self) -> bytes:
        """The body of the answer."""
        return json.dumps({"message": self.message}).encode() if self.is_json else self.message.encode()


@dataclass(slots=True)
class Account:
    """A service account; change `role` or `disabled` while the server runs as you like."""

    id: int
    name: str
    role: Role
    disabled: bool = False
    token_names: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Token:
    """A token of a service account, without its text."""

    id: int
    name: str
    account: Account
    expired: bool = False


def new_token() -> str:
    """A well-formed token that no server knows."""
    secret = "".join(secrets.choice(ALPHANUMERIC) for _ in range(32))
    return f"glsa_{secret}_{_checksum(secret)}"


def _checksum(secret: str) -> str:
    return f"{zlib.crc32(secret.encode()):08x}"


class Accounts:
    """The accounts of one server.

    Args:
        password: of the Basic user ``admin``.

    Attributes:
        anonymous: the role of a visitor without credentials; None: anonymous access is off.
    """

    def __init__(self, password: str) -> None:
        self.anonymous: Role | None = None
        self._users = {"admin": (password, Role.ADMIN)}
        self._accounts: dict[str, Account] = {}
        self._tokens: dict[str, Token] = {}
        self._account_ids = itertools.count(1)
        self._token_ids = itertools.count(1)

    def add_user(self, name: str, password: str, role: Role) -> None:
        """A user who logs in with Basic credentials."""
        self._users[name] = (password, role)

    def add_account(self, name: str, role: Role) -> Account:
        """A service account.

        Raises:
            Taken: there is one of that name.
        """
        if name in self._accounts:
            raise Taken(name)
        account = self._accounts[name] = Account(next(self._account_ids), name, role)
        return account

    def find(self, query: str) -> list[Account]:
        """The accounts whose names contain `query`."""
        return [account for name, account in self._accounts.items() if query.lower() in name.lower()]

    def by_id(self, account_id: int) -> Account | None:
        """The account with that id."""
        return next((account for account in self._accounts.values() if account.id == account_id), None)

    def remove_account(self, account: Account) -> None:
        """Deletes an account with its tokens, which are unknown from now on."""
        for token in self.tokens_of(account):
            self.revoke_id(account, token.id)
        del self._accounts[account.name]

    def add_token(self, account: Account, name: str) -> str:
        """A new token of `account`.

        Raises:
            Taken: the account has a token of that name.
        """
        if name in account.token_names:
            raise Taken(name)
        account.token_names.add(name)
        token = new_token()
        self._tokens[token] = Token(next(self._token_ids), name, account)
        return token

    def tokens_of(self, account: Account) -> list[Token]:
        """The tokens of `account`, oldest first."""
        return [token for token in self._tokens.values() if token.account is account]

    def revoke(self, token: str) -> None:
        """Deletes a token; from now on it is unknown, and its name free."""
        gone = self._tokens.pop(token)
        gone.account.token_names.remove(gone.name)

    def revoke_id(self, account: Account, token_id: int) -> bool:
        """Deletes the token of `account` with that id; whether there was one."""
        found = [
            text for text, token in self._tokens.items() if (token.account, token.id) == (account, token_id)
        ]
        for text in found:
            self.revoke(text)
        return bool(found)

    def expire(self, token: str) -> None:
        """Lets a token expire."""
        self._tokens[token].expired = True

    def role_of(self, authorization: str | None) -> Role | None:
        """The role behind an ``Authorization`` header; None: nobody, and anonymous access is off.

        Raises:
            Denied: there are credentials, and they are not good.
        """
        if authorization is None:
            return self.anonymous
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return self._role_of_token(credentials)
        if scheme.lower() != "basic":
            raise Denied(401, "Unauthorized")
        try:
            user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise Denied(401, "Invalid Basic Auth Header") from None
        if user == "api_key":
            return self._role_of_token(password)
        known, role = self._users.get(user, ("", Role.VIEWER))
        if not known or not secrets.compare_digest(known.encode(), password.encode()):
            raise Denied(401, "Invalid username or password")
        return role

    def _role_of_token(self, text: str) -> Role:
        form = _TOKEN.fullmatch(text)
        if form is None or _checksum(form[1]) != form[2]:
            raise Denied(401, "Invalid API key")
        token = self._tokens.get(text)
        if token is None:
            raise Denied(500, "invalid API key")
        if token.expired:
            raise Denied(401, "Expired API key")
        if token.account.disabled:
            raise Denied(401, "Service account is disabled")
        return token.account.role


def check_push_socket(role: Role | None, *, foreign_origin: bool) -> None:
    """The push socket wants exactly the organisation role Admin, and no foreign Origin.

    Raises:
        Denied: not allowed.
    """
    if role is not Role.ADMIN:
        raise Denied(403, "Permission denied")
    check_origin(foreign_origin=foreign_origin)


def check_origin(*, foreign_origin: bool) -> None:
    """Both sockets refuse a page of another host.

    Raises:
        Denied: the Origin is foreign.
    """
    if foreign_origin:
        raise Denied(403, "Forbidden", is_json=False)


def check_signed_in(role: Role | None) -> None:
    """The POST and the subscriber's socket take any role.

    Raises:
        Denied: nobody.
    """
    if role is None:
        raise Denied(401, "Unauthorized")


def check_editor(role: Role | None) -> None:
    """Saving a dashboard.

    Raises:
        Denied: nobody, or a Viewer.
    """
    check_signed_in(role)
    if role is Role.VIEWER:
        raise Denied(403, "Permission denied")


def check_admin(role: Role | None) -> None:
    """The service-account API.

    Raises:
        Denied: not an Admin.
    """
    check_signed_in(role)
    if role is not Role.ADMIN:
        raise Denied(403, "Permission denied")
