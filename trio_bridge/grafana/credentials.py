"""What we show Grafana: the settings' token or password becomes one ``Authorization`` header.

Files are read anew at each connection, so a rotated token counts without a restart. What is in them never
appears in a message, not even when it is malformed: a message names the file.
"""

from __future__ import annotations

import base64
from pathlib import Path

import trio

from trio_bridge.config.secretfile import is_token
from trio_bridge.config.settings import GrafanaSettings
from trio_bridge.errors import ConfigError
from trio_bridge.secret import Secret


async def authorization(settings: GrafanaSettings) -> Secret:
    """The value of the header: ``Bearer <token>`` or ``Basic <user:password>``.

    Raises:
        ConfigError: there are no credentials, a file cannot be read, or what it holds cannot be sent.
    """
    if settings.token_file is not None:
        token = (await _read(settings.token_file, "token_file")).strip()
        return _bearer(token, f"the token in grafana.token_file {settings.token_file}")
    if settings.token is not None:
        return _bearer(settings.token.reveal().strip().encode(), "grafana.token")
    if settings.username is not None and settings.password_file is not None:
        if ":" in settings.username:
            raise ConfigError(
                "grafana.username cannot hold a colon: Basic authentication ends the name there"
            )
        # Only the line end goes: a password may begin or end with a space.
        password = (await _read(settings.password_file, "password_file")).rstrip(b"\r\n")
        if not password:
            raise ConfigError(f"grafana.password_file {settings.password_file} is empty")
        pair = settings.username.encode() + b":" + password
        return Secret("Basic " + base64.b64encode(pair).decode())
    raise ConfigError(
        "no credentials for Grafana: set grafana.token_file, or grafana.username with password_file"
    )


def secret_parts(header: Secret) -> tuple[str, ...]:
    """What must not be quoted should the other side send it back: the token, or the pair and the password in it."""
    scheme, _, value = header.reveal().partition(" ")
    if scheme == "Bearer":
        return (value,)
    return value, base64.b64decode(value).decode("utf-8", "replace").partition(":")[2]


def _bearer(token: bytes, what: str) -> Secret:
    text = token.decode("utf-8", "replace")
    # A line end in a header would show the token in the HTTP library's complaint.
    if not is_token(Secret(text)):
        raise ConfigError(f"{what} is empty or holds a space, a line end or a character that is not ASCII")
    return Secret(f"Bearer {text}")


async def _read(path: Path, setting: str) -> bytes:
    try:
        return await trio.Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror
    raise ConfigError(f"grafana.{setting} {path} cannot be read: {reason}")
