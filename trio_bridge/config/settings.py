"""The settings as the program uses them: frozen, validated, with units in their names.

`trio_bridge.config.load` makes them from the TOML file, the environment and the flags. A default and a bound
of a single value stand here and nowhere else; what two values may not say together stands in `rules`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trio_bridge.config.duration import parse_duration
from trio_bridge.secret import Secret

# A wait that the operator sets: never zero, and short enough that nobody takes it for a hang.
Seconds = Annotated[float, Meta(gt=0, le=300)]
# A column, a JSON key or a route: anything but nothing.
Name = Annotated[str, Meta(min_length=1)]


class PostgresSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the rows come from.

    Attributes:
        dsn: libpq connection string or URI, without a password. A server on another machine must prove itself by a
            certificate that the system trusts (``sslmode=verify-full sslrootcert=system``), unless it says otherwise.
        password: from the environment; `password_file` is read again at each connection.
        password_file: a file that holds the password.
        connect_timeout_s: for each host, from TCP to login.
        heartbeat_s: longest time between two statements; no answer in three of them: the connection is dead.
    """

    dsn: str
    password: Secret | None = None
    password_file: Path | None = None
    connect_timeout_s: Seconds = 10.0
    # The session asks Postgres to end it after 5 s of silence (idle_session_timeout): two beats must fit in.
    heartbeat_s: Annotated[float, Meta(ge=0.05, le=2)] = 0.5


class GrafanaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the rows go.

    Attributes:
        url: ``http(s)://host[:port][/sub-path]`` of Grafana.
        token: service-account token, from the environment; `token_file` is read again at each connection.
        token_file: a file that holds the token.
        username: for Basic authentication, instead of a token.
        password_file: the password that goes with `username`, read again at each connection.
        allow_plaintext: ``http`` beyond this machine, where credentials and rows can be read on their way: for a
            network that is private.
        ca_file: certificates (PEM) of the authorities to trust instead of the system's.
        client_cert_file: a certificate (PEM) to show to Grafana, or to the proxy before it.
        client_key_file: the key that goes with it, without a passphrase; default: in the same file.
        message_interval_ms: least time between two messages of a route; 0 sends at once.
        connect_timeout_s: for each step of connecting (TCP, TLS, upgrade).
        ack_timeout_s: a ping unanswered for longer means that the connection is dead.
        max_unacked_bytes: no more is sent while this much is not acknowledged.
    """

    url: str
    token: Secret | None = None
    token_file: Path | None = None
    username: Name | None = None
    password_file: Path | None = None
    allow_plaintext: bool = False
    ca_file: Path | None = None
    client_cert_file: Path | None = None
    client_key_file: Path | None = None
    message_interval_ms: Annotated[int, Meta(ge=0, le=60_000)] = 100
    connect_timeout_s: Seconds = 10.0
    ack_timeout_s: Seconds = 10.0
    # At least one full message; at most about what Grafana was seen to swallow before a send blocks (2.9 MB).
    max_unacked_bytes: Annotated[int, Meta(ge=65_536, le=4_194_304)] = 262_144


class RouteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table (or NOTIFY channel) → one stream and measurement.

    Attributes:
        name: names the route in logs and its checkpoint; default the table or channel as written.
        table: ``schema.table`` as SQL writes it (quoted where need be); exclusive with `channel`.
        channel: a NOTIFY channel, exactly as ``pg_notify`` names it; its payload is the row as JSON. Delivered
            at most once.
        stream: Grafana's stream id, ``[A-Za-z0-9_-]+``.
        measurement: last part of the Live channel; default the table's or channel's name.
        time: column (or JSON key) with the row's time.
        time_unit: what a time that is a plain number counts since 1970.
        fields: columns to send; None: every column but key, time, txid, series and tags.
        text_fields: of a channel route: which of its fields are text; the others are numbers.
        tags: columns that become labels; a route with tags has no history.
        series: column whose values name the series: each gets fields of its own (``value_<name>``, or ``<name>``
            where the route has one field); exclusive with `tags`.
        max_series: rows of any further series are rejected.
        history_rows: how many of the last rows by time a panel shows at once when it is opened; 0: none.
        keyframe_interval_s: how often these rows are sent as a whole while rows flow.
        max_age: rows older than this (``90s``, ``15m``, ``2h``, ``1d``, or seconds) by their time when they are read
            are not sent but counted as rejected, ``stale``, so that a panel is current at once after a long outage;
            default: every row is sent.
    """

    name: Name
    table: str | None = None
    channel: Name | None = None
    stream: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+$")] = "pg"
    # Grafana accepts any name on push, but nobody can subscribe to one with other characters.
    measurement: Annotated[str, Meta(pattern="^[A-Za-z0-9_=./-]+$")] | None = None
    time: Name = "timestamp"
    time_unit: Literal["s", "ms", "us", "ns"] = "s"
    fields: Annotated[tuple[Name, ...], Meta(min_length=1)] | None = None
    text_fields: tuple[Name, ...] = ()
    tags: tuple[Name, ...] = ()
    series: Name | None = None
    # Above about 50 fields a panel is hard to read, and Grafana slow to draw it; a filter helps up to some hundred.
    max_series: Annotated[int, Meta(ge=1, le=500)] = 50
    # 8,000 rows of one field are what a message of 256 KiB holds; 1,000 cost a browser a few percent of a core.
    history_rows: Annotated[int, Meta(ge=0, le=8000)] = 1000
    keyframe_interval_s: Annotated[float, Meta(ge=0.1, le=60)] = 2.0
    max_age: str | float | None = None

    @property
    def window_rows(self) -> int:
        """`history_rows`, but 0 with tags: a browser that has labels loses them at each keyframe, or goes dead."""
        return 0 if self.tags else self.history_rows

    @property
    def max_age_s(self) -> float | None:
        """`max_age` in seconds; None: off."""
        return None if self.max_age is None else parse_duration(self.max_age)


class ServiceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The process itself.

    Attributes:
        drain_timeout_s: how long a graceful stop may take to send, acknowledge and checkpoint what was read.
        restart_min_s: first wait before a failed route starts again; doubled each time, with jitter.
        restart_max_s: longest such wait. Short, because a failed attempt costs little and a dashboard waits for the
            one that succeeds; refused credentials and a Retry-After wait longer.
        log_format: ``json`` (one object a line) or ``console`` (coloured, for people).
        log_level: least level that is written.
    """

    drain_timeout_s: Seconds = 5.0
    restart_min_s: Seconds = 0.1
    restart_max_s: Annotated[float, Meta(gt=0, le=3600)] = 1.0
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Probes, metrics and the status page.

    Attributes:
        listen: ``host:port``; port 0 takes a free one, ``off`` serves nothing. Whoever can connect can read the
            figures (no row values), so beyond this machine it belongs behind a firewall.
    """

    listen: str = "127.0.0.1:9464"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything."""

    postgres: PostgresSettings
    grafana: GrafanaSettings
    route: tuple[RouteSettings, ...]
    service: ServiceSettings = ServiceSettings()
    http: HttpSettings = HttpSettings()
