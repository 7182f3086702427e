"""A libpq connection string, key-value or URI ↔ the same without its password, and the password as a Secret.

Nothing is resolved or connected. libpq's own sources (service files, ``PGPASSWORD``, ``~/.pgpass``)
stay libpq's own. A text that libpq cannot parse is never repeated: libpq's message would quote it, password
and all.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from trio_bridge.config.loopback import is_loopback
from trio_bridge.config.secretfile import read_secret
from trio_bridge.config.settings import PostgresSettings
from trio_bridge.errors import ConfigError
from trio_bridge.secret import Secret

_ABOUT_TLS = ("sslmode", "sslrootcert", "service")
# libpq options whose value is a secret and for which there is no setting of ours.
_OTHER_SECRETS = ("sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret")


def without_password(dsn: str, place: str) -> tuple[str, Secret | None]:
    """`dsn`, as written if there is no password in it, and the password.

    Args:
        dsn: connection string or URI; several hosts are fine.
        place: begins the sentence of an error.

    Raises:
        ConfigError: libpq would not take it, or it holds a secret that is not the password.
    """
    try:
        options = conninfo_to_dict(dsn)
    except psycopg.Error:
        raise ConfigError(
            f"{place}: is not a connection string libpq can read (not shown: it may hold a password): write "
            "postgresql://user@host:port/database or host=… dbname=… user=…"
        ) from None
    for option in _OTHER_SECRETS:
        if option in options:
            raise ConfigError(f"{place}: holds {option}, a secret that would show: use a libpq service file")
    if "password" not in options:
        return dsn, None
    password = str(options.pop("password"))
    return make_conninfo("", **options), Secret(password) if password else None


def verified(dsn: str, environ: Mapping[str, str]) -> str:
    """`dsn`, which asks for a verified server if it leaves this machine and says nothing of TLS itself.

    libpq's own default, ``sslmode=prefer``, takes any certificate, and no encryption at all if the server offers none
    (PostgreSQL manual, "SSL Support"). The system's authorities are trusted unless it names others.

    Args:
        dsn: as libpq reads it.
        environ: may say what the DSN does not: ``PGHOST``, ``PGSSLMODE``, ``PGSSLROOTCERT``, ``PGSERVICE``.
    """
    options = conninfo_to_dict(dsn)
    said = {name: options.get(name) or environ.get(f"PG{name.upper()}") for name in _ABOUT_TLS}
    hosts = str(options.get("hostaddr") or options.get("host") or environ.get("PGHOST") or "").split(",")
    # What a service file says we do not read; libpq does.
    if said["sslmode"] or said["service"] or all(is_loopback(host) for host in hosts):
        return dsn
    authority = {} if said["sslrootcert"] else {"sslrootcert": "system"}
    return make_conninfo(dsn, sslmode="verify-full", **authority)


def with_password(postgres: PostgresSettings) -> str:
    """The connection string with its password in it, to be handed to libpq and to nobody else.

    Raises:
        ConfigError: the password's file cannot be read.
    """
    password = postgres.password
    if postgres.password_file is not None:
        password = read_secret(postgres.password_file)
    return postgres.dsn if password is None else make_conninfo(postgres.dsn, password=password.reveal())
