"""A file that holds one secret → the secret; asked again at each connection, so that a rotated secret counts.

Reads, keeps nothing, and never says what it read. A line break at the end belongs to the file, not to the
secret.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from trio_bridge.errors import ConfigError
from trio_bridge.secret import Secret

# What an HTTP header can carry as a bearer token.
_TOKEN = re.compile(r"[\x21-\x7e]+")


def read_secret(file: Path) -> Secret:
    """The secret in `file`.

    Raises:
        ConfigError: the file cannot be read, is not UTF-8 or holds nothing.
    """
    try:
        text = file.read_text("utf-8").strip("\r\n")
    except OSError as error:
        raise ConfigError(f"{file}: the secret in it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: the secret in it is not UTF-8") from None
    if not text:
        raise ConfigError(f"{file}: there is no secret in it, it is empty")
    return Secret(text)


def read_token(file: Path) -> Secret:
    """The service-account token in `file`.

    Raises:
        ConfigError: as `read_secret`, or what is in it is no token.
    """
    token = Secret(read_secret(file).reveal().strip())
    if not is_token(token):
        raise ConfigError(f"{file}: is not a token: a token is one word of visible ASCII characters")
    return token


def is_token(secret: Secret) -> bool:
    """Whether an HTTP header could carry it."""
    return _TOKEN.fullmatch(secret.reveal()) is not None


def open_to_all(file: Path) -> bool:
    """Whether every user of this machine may read `file`."""
    return bool(file.stat().st_mode & stat.S_IROTH)
