"""Where to connect, and the settings that hold there whatever server, role and database say."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import trio
from psycopg.conninfo import conninfo_to_dict

from tests.pg import Database
from tests.postgres.eye import attempts, opened, value
from trio_bridge.config.settings import PostgresSettings
from trio_bridge.errors import ConfigError, SourceError
from trio_bridge.postgres.conninfo import SESSION_OPTIONS, resolve
from trio_bridge.secret import Secret


def _places(dsn: str) -> list[tuple[Any, Any, Any]]:
    """Host, address and port of each attempt."""
    parsed = map(conninfo_to_dict, attempts(dsn))
    return [(one.get("host"), one.get("hostaddr"), one.get("port")) for one in parsed]


class Resolver(trio.abc.HostnameResolver):
    """Answers from a table that the test changes."""

    def __init__(self, table: dict[str, list[str]]) -> None:
        self.table = table

    async def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.table:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, int(port))) for one in self.table[name]]

    async def getnameinfo(self, *_: Any) -> Any:
        raise NotImplementedError


async def _resolved(dsn: str) -> list[tuple[Any, Any, Any]]:
    parsed = map(conninfo_to_dict, await resolve(PostgresSettings(dsn=dsn), "test"))
    return [(one.get("host"), one.get("hostaddr"), one.get("port")) for one in parsed]


async def test_names_are_resolved_anew() -> None:
    """Each attempt asks again, tries every address in order and keeps the name for TLS; nothing is remembered."""
    resolver = Resolver({"one": ["10.0.0.1", "10.0.0.2"], "two": ["10.0.0.3"]})
    trio.socket.set_custom_hostname_resolver(resolver)
    dsn = "host=one,two,gone port=5432,5433,5434"
    assert await _resolved(dsn) == [
        ("one", "10.0.0.1", "5432"),
        ("one", "10.0.0.2", "5432"),
        ("two", "10.0.0.3", "5433"),
    ]
    resolver.table = {"gone": ["10.0.0.9"]}
    assert await _resolved(dsn) == [("gone", "10.0.0.9", "5434")]
    resolver.table = {}
    with pytest.raises(SourceError, match="cannot resolve the name of the Postgres host one, two, gone"):
        await _resolved(dsn)


async def test_name_that_is_no_name() -> None:
    """What no resolver can be asked for is an unknown host, not a crash."""
    with pytest.raises(SourceError, match=r"cannot resolve the name of the Postgres host a\.\.b"):
        await _resolved("host=a..b")


def test_hosts_and_ports() -> None:
    """Addresses, socket directories and defaults go to libpq as they stand; one port serves all hosts."""
    assert _places("host=127.0.0.1,::1 port=7") == [("127.0.0.1", None, "7"), ("::1", None, "7")]
    assert _places("host=/run/pg,127.0.0.1 port=1,2") == [("/run/pg", None, "1"), ("127.0.0.1", None, "2")]
    assert _places("host=nowhere.invalid hostaddr=127.0.0.1") == [("nowhere.invalid", "127.0.0.1", None)]
    assert _places("hostaddr=127.0.0.1,127.0.0.2") == [(None, "127.0.0.1", None), (None, "127.0.0.2", None)]
    assert _places("postgresql://u@127.0.0.1:1,127.0.0.2:2/d") == [
        ("127.0.0.1", None, "1"),
        ("127.0.0.2", None, "2"),
    ]
    assert _places("dbname=d") == [(None, None, None)]


@pytest.mark.parametrize("dsn", ["host=a,b,c port=1,2", "host=a,b hostaddr=127.0.0.1", "host=a port=1,2"])
def test_lists_of_different_length(dsn: str) -> None:
    """Lists that do not match are refused, as libpq does, and not guessed at."""
    with pytest.raises(ConfigError, match="as many hosts"):
        attempts(dsn)


def test_password(tmp_path: Path) -> None:
    """The file is read at each connection; without one the environment's password is taken."""
    file = tmp_path / "password"
    for secret in ("first one", "it's \\ second"):
        file.write_text(secret + "\n")
        (one,) = attempts("host=127.0.0.1", password=Secret("other"), password_file=file)
        assert conninfo_to_dict(one)["password"] == secret
    (one,) = attempts("host=127.0.0.1", password=Secret("other"))
    assert conninfo_to_dict(one)["password"] == "other"
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        attempts("host=127.0.0.1", password_file=file)


def test_settings_hold(database: Database) -> None:
    """Every setting is in force, against server, database and role, and against the DSN's own options."""
    hostile = {
        "default_transaction_isolation": "serializable",
        "default_transaction_read_only": "on",
        "row_security": "on",
        "search_path": "public",
        "timezone": "Asia/Tokyo",
        "datestyle": "German",
        "intervalstyle": "iso_8601",
        "extra_float_digits": "-3",
        "statement_timeout": "1",
        "lock_timeout": "1",
        "idle_session_timeout": "1",
        "enable_seqscan": "on",
    }
    with database.server.connect() as connection:
        for name, wrong in hostile.items():
            connection.execute(f"ALTER DATABASE {database.name} SET {name} = '{wrong}'")
    dsn = database.server.dsn(database.name, options="-c enable_seqscan=on -c trio.mine=a\\ b")
    with opened(dsn, heartbeat_s=0.25) as session:
        for name, wanted in {**SESSION_OPTIONS, "lock_timeout": "250", "client_encoding": "utf8"}.items():
            # Compared by the server, which knows its units.
            shown = value(session, f"SHOW {name}")
            value(session, "SELECT set_config($1, $2, false)", name, wanted)
            assert value(session, f"SHOW {name}") == shown, name
        assert value(session, "SHOW trio.mine") == "a b"
        assert value(session, "SHOW transaction_isolation") == "read committed"
        assert value(session, "SHOW application_name") == "trio_bridge test"


def test_application_name_of_the_dsn_stays(database: Database) -> None:
    """A name that the operator gave shows in pg_stat_activity instead of ours."""
    with opened(database.server.dsn(database.name, application_name="mine")) as session:
        assert value(session, "SHOW application_name") == "mine"


def test_writable_host_is_found(database: Database) -> None:
    """target_session_attrs stays in force at each attempt."""
    server = database.server
    with opened(server.dsn(database.name, target_session_attrs="read-write")) as session:
        assert value(session, "SELECT 1") == "1"
    with pytest.raises(SourceError, match="standby"), opened(server.dsn(target_session_attrs="standby")):
        pass
