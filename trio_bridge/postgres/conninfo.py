"""Where to connect: a DSN → one libpq connection string per host and address, to be tried in order.

Names are resolved here, in Trio and anew at each attempt: inside libpq a slow resolver could not be cancelled. The
session settings make the delta correct (isolation, row security, time zone), and let Postgres cut us off should this
process freeze (`idle_session_timeout`, `tcp_user_timeout`), so that nobody waits for a bridge that sleeps.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from trio_bridge.config.secretfile import read_secret
from trio_bridge.config.settings import PostgresSettings
from trio_bridge.errors import ConfigError, SourceError

SESSION_OPTIONS: Final = {
    # An older snapshot than the statement's own would let rows slip through behind an ALTER TABLE.
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    # Rows hidden by a policy become an error instead of silence.
    "row_security": "off",
    # No function of another schema can stand in for one that we call.
    "search_path": "pg_catalog",
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    # The delta is made of index scans, whatever the statistics say, and its rows come in the order of the scans.
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "force_generic_plan",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    # Measured: a bridge frozen by SIGSTOP loses its locks after 5 to 6 s over TCP.
    "idle_session_timeout": "5000",
    "tcp_user_timeout": "5000",
    "client_connection_check_interval": "1000",
}


async def resolve(settings: PostgresSettings, route: str) -> list[str]:
    """Connection strings for `Session.connect`, one per host and address of the DSN.

    Args:
        settings: the DSN and where its password is.
        route: shows in ``pg_stat_activity``.

    Raises:
        SourceError: no host could be resolved.
        ConfigError: the password file cannot be read, or hosts and ports do not match.
    """
    options = conninfo_to_dict(settings.dsn)
    given = str(options.pop("options", "") or "")
    # A locked table is an answer ("not now"), not a dead connection: it comes before we lose patience.
    session_options = SESSION_OPTIONS | {"lock_timeout": str(int(settings.heartbeat_s * 1000))}
    # The last word counts: whatever the DSN, the role or the database says, these hold.
    options["options"] = " ".join([given, *(_option(*item) for item in session_options.items())]).strip()
    options.setdefault("application_name", f"trio_bridge {route}"[:63])
    options["client_encoding"] = "utf8"
    password = settings.password
    if settings.password_file is not None:
        password = read_secret(settings.password_file)
    if password is not None:
        options["password"] = password.reveal()
    hosts = str(options.pop("host", "") or "").split(",")
    addresses = str(options.pop("hostaddr", "") or "").split(",")
    ports = str(options.pop("port", "") or "").split(",")
    count = max(len(hosts), len(addresses))
    # As libpq would have it, to which only one of them goes.
    if (hosts != [""] and addresses != [""] and len(hosts) != len(addresses)) or len(ports) not in (1, count):
        raise ConfigError(
            "the DSN does not give as many hosts as addresses or ports: one port, or one for each host"
        )
    attempts: list[str] = []
    unresolved: list[str] = []
    for number in range(count):
        host = hosts[number] if number < len(hosts) else ""
        address = addresses[number] if number < len(addresses) else ""
        port = ports[number] if len(ports) > 1 else ports[0]
        try:
            found = [address] if address else await _addresses(host, port)
        except (OSError, UnicodeError):
            # A name that cannot even be asked for ("a..b") is a UnicodeError.
            unresolved.append(host)
            continue
        for one in found:
            place = {"host": host, "hostaddr": one, "port": port}
            attempts.append(
                make_conninfo("", **options, **{key: value for key, value in place.items() if value})
            )
    if not attempts:
        raise SourceError(f"cannot resolve the name of the Postgres host {', '.join(unresolved)}")
    return attempts


def _option(name: str, value: str) -> str:
    return f"-c {name}=" + value.replace(" ", r"\ ")


async def _addresses(host: str, port: str) -> list[str]:
    """Addresses of `host`; [""] where libpq needs none (a socket directory, an address, its own default)."""
    if not host or host.startswith(("/", "@")):
        return [""]
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return [""]
    found = await trio.socket.getaddrinfo(host, port or "5432", type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
