"""What single values cannot tell: settings that contradict each other, and files and addresses that cannot work.

Each function takes the settings (and the places they were given at) and yields one sentence for each mistake. The
only thing touched is the file system: a secret's file is read once, so that a start fails now and not at the
first connection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from trio_bridge.config.listen import parse_listen
from trio_bridge.config.loopback import is_loopback
from trio_bridge.config.names import MAX_NAME_BYTES, parse_table
from trio_bridge.config.secretfile import is_token, open_to_all, read_secret, read_token
from trio_bridge.config.settings import (
    GrafanaSettings,
    HttpSettings,
    PostgresSettings,
    RouteSettings,
    ServiceSettings,
    Settings,
)
from trio_bridge.decoder.lines import measurement_name
from trio_bridge.errors import ConfigError

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")


def postgres_mistakes(postgres: PostgresSettings, places: Mapping[str, str]) -> Iterator[str]:
    """A password said twice, or in a file that cannot be read."""
    if postgres.password and postgres.password_file:
        yield f"{places['postgres.password']} and {places['postgres.password_file']}: give one of the two"
    elif postgres.password_file:
        yield from _unreadable(postgres.password_file, places["postgres.password_file"])


def grafana_mistakes(grafana: GrafanaSettings, places: Mapping[str, str]) -> Iterator[str]:
    """An address that is none, and credentials that are missing, doubled, mixed or unreadable."""
    yield from _bad_url(grafana, places["grafana.url"])
    if grafana.client_key_file and not grafana.client_cert_file:
        yield f"{places['grafana.client_key_file']}: a key goes with a certificate: give client_cert_file too"
    said = [key for key in ("token", "token_file", "password_file") if getattr(grafana, key) is not None]
    if not said:
        yield (
            "grafana: no credentials: set TRIO_BRIDGE_GRAFANA_TOKEN_FILE or TRIO_BRIDGE_GRAFANA_TOKEN "
            "(a service account with the organisation role Admin)"
        )
    elif len(said) > 1:
        yield f"{' and '.join(places[f'grafana.{key}'] for key in said)}: give one of them"
    elif (said[0] == "password_file") != (grafana.username is not None):
        yield "grafana: username and password_file go together, and without a token"
    elif grafana.token and not is_token(grafana.token):
        yield f"{places['grafana.token']}: is not a token: a token is one word of visible ASCII characters"
    elif grafana.token_file:
        yield from _unreadable(grafana.token_file, places["grafana.token_file"], token=True)
    elif grafana.password_file:
        yield from _unreadable(grafana.password_file, places["grafana.password_file"])


def service_mistakes(service: ServiceSettings) -> Iterator[str]:
    """Bounds in the wrong order."""
    if service.restart_min_s > service.restart_max_s:
        yield "service: restart_min_s is larger than restart_max_s"


def http_mistakes(http: HttpSettings, places: Mapping[str, str]) -> Iterator[str]:
    """An address that is none."""
    try:
        parse_listen(http.listen)
    except ConfigError as error:
        yield f"{places['http.listen']}: {error}"


def route_mistakes(routes: Sequence[RouteSettings]) -> Iterator[str]:
    """Routes that name no source or two, that contradict themselves, and that are in each other's way.

    What a route says about columns is checked against the table, when it starts.
    """
    names: set[str] = set()
    streams: dict[str, str] = {}
    for route in routes:
        if (route.table is None) == (route.channel is None):
            yield f'route "{route.name}": give a table or a channel, one of the two'
            continue
        if route.channel is not None and len(route.channel.encode()) > MAX_NAME_BYTES:
            yield f'route "{route.name}": Postgres takes no channel of more than {MAX_NAME_BYTES} bytes'
        if route.series is not None and route.tags:
            yield (
                f'route "{route.name}": series and tags do not go together, because series become fields and a panel '
                "keeps several fields only where there are no tags: give one of the two"
            )
        stream = _stream(route)
        if route.name in names:
            yield f'route "{route.name}" is there twice: give one of them another name = "…"'
        elif stream in streams:
            yield (
                f'routes "{streams[stream]}" and "{route.name}" both feed {stream}, and its panels would lose '
                "their history: give one of them another measurement"
            )
        names.add(route.name)
        streams[stream] = route.name


def warnings(settings: Settings) -> Iterator[str]:
    """What works, but should not stay so."""
    for file in (
        settings.postgres.password_file,
        settings.grafana.token_file,
        settings.grafana.password_file,
    ):
        if file and open_to_all(file):
            yield f"{file}: every user of this machine can read this secret: chmod o-r"


def _stream(route: RouteSettings) -> str:
    own = parse_table(route.table).name if route.table is not None else route.channel or route.name
    return f"stream/{route.stream}/{route.measurement or measurement_name(own)}"


def _bad_url(grafana: GrafanaSettings, place: str) -> Iterator[str]:
    url = grafana.url
    wanted = f"{place}: write http://host:port or https://host:port, with the sub-path if Grafana has one"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not _VISIBLE_ASCII.fullmatch(url):
        yield wanted
    elif "@" in parts.netloc:
        yield f"{place}: holds credentials that would show: use username and password_file"
    elif parts.query or parts.fragment:
        yield f"{wanted}, and nothing after it"
    elif parts.scheme == "http" and not grafana.allow_plaintext and not is_loopback(parts.hostname or ""):
        yield (
            f"{place}: http would carry the credentials readable over the network: write https://, or say "
            "allow_plaintext = true if that network is private"
        )


def _unreadable(file: Path, place: str, *, token: bool = False) -> Iterator[str]:
    try:
        _ = read_token(file) if token else read_secret(file)
    except ConfigError as error:
        yield f"{place}: {error}"
