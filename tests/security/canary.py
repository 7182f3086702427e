"""Secrets that were planted, and a search that finds them again: whole, in part, or in a form that somebody can undo.

A `Canary` knows secrets by name and says which of them stand in given bytes. What counts as found: the secret itself,
as it stands in JSON, in a URL or in a Python literal, in base64 (alone, or inside of a longer text, as the header of
Basic authentication has it), and any `PART` characters of it in a row. `planted` reads the secrets out of a bridge's
environment; `Made` knows what the tests themselves make. Nothing here hides anything: it is the tests' eye, and shares
no code with what masks.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from trio_bridge.demo.postgres import EmbeddedPostgres
from trio_bridge.live import auth
from trio_bridge.secret import Secret

PART: Final = 12
"""So many characters of a secret in a row do not come about by chance: 10²¹ to one for those of a token."""

_TOKEN: Final = re.compile(r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}")


class Canary:
    """Secrets by name.

    Args:
        secrets: name → secret; an empty one is nothing to find.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms = {name: set(_forms(secret)) for name, secret in secrets.items() if secret}

    @property
    def names(self) -> set[str]:
        """Of what was planted."""
        return set(self._forms)

    def found_in(self, haystack: bytes) -> list[str]:
        """The names of the secrets that `haystack` tells something of."""
        return [
            name for name, forms in self._forms.items() if any(form.encode() in haystack for form in forms)
        ]

    def assert_not_in(self, haystack: bytes, where: str) -> None:
        """Fails if something is found; the message names it and where, and does not repeat it."""
        found = self.found_in(haystack)
        assert not found, f"{where} tells of {', '.join(found)}"


def _forms(secret: str) -> Iterator[str]:
    """Each of the texts of which any betrays `secret`."""
    yield from (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe=""))
    for before in range(3):
        # Base64 takes three bytes at a time: the letters depend on how many stand before.
        coded = base64.b64encode(b"\0" * before + secret.encode()).decode().rstrip("=")
        # The first and the last letters are made of the neighbours' bits as well.
        whole = coded[(0, 2, 3)[before] : len(coded) - 1]
        if len(whole) >= PART:
            yield whole
    yield from (secret[at : at + PART] for at in range(len(secret) - PART + 1))


def planted(environment: Mapping[str, str]) -> Canary:
    """The secrets that a bridge with `environment` has: tokens and passwords, in variables, files and the DSN."""
    secrets = {}
    for variable, value in environment.items():
        if not variable.startswith("TRIO_BRIDGE_") or not value:
            continue
        if variable.endswith(("_TOKEN", "_PASSWORD")):
            secrets[variable] = value
        elif variable.endswith(("_TOKEN_FILE", "_PASSWORD_FILE")) and Path(value).is_file():
            secrets[variable] = Path(value).read_text().strip()
    dsn = environment.get("TRIO_BRIDGE_POSTGRES_DSN", "")
    if "password" in dsn or urlsplit(dsn).password:
        secrets["password of the DSN"] = str(conninfo_to_dict(dsn).get("password") or "")
    return Canary(secrets)


class Made:
    """Every token of a Live server and every password of an embedded PostgreSQL that this process makes."""

    def __init__(self) -> None:
        self._tokens: set[str] = set()
        self._passwords: set[str] = set()

    def watch(self) -> None:
        """From now on, and for good, note what is made."""
        auth.new_token = self._noting_tokens(auth.new_token)
        EmbeddedPostgres.__init__ = self._noting_passwords(EmbeddedPostgres.__init__)  # type: ignore[method-assign]

    def _noting_tokens(self, new_token: Callable[[], str]) -> Callable[[], str]:
        @wraps(new_token)
        def noting() -> str:
            token = new_token()
            self._tokens.add(token)
            return token

        return noting

    def _noting_passwords(self, init: Callable[..., None]) -> Callable[..., None]:
        @wraps(init)
        def noting(*args: object, password: Secret | None = None, **kwargs: object) -> None:
            # A short one is a word that may stand anywhere.
            if password is not None and len(password.reveal()) >= PART:
                self._passwords.add(password.reveal())
            init(*args, password=password, **kwargs)

        return noting

    def told_by(self, text: str) -> int:
        """How many of them stand in `text`."""
        return len(self._tokens.intersection(_TOKEN.findall(text))) + sum(
            password in text for password in self._passwords
        )

    def judge(self, report: pytest.TestReport) -> None:
        """Fails a test, at its end, whose captured output tells one of them; the verdict does not repeat it."""
        if report.when == "teardown" and self.told_by("".join(text for _, text in report.sections)):
            report.outcome = "failed"
            report.longrepr = f"{report.nodeid}: its captured output tells a token or a password"
