"""File, environment and flags → the settings, checked, each with the place that decided it.

    flag  >  environment TRIO_BRIDGE_…  >  TOML file  >  default

Mistakes are reported together, one line each: names first, then values, then contradictions. A secret is never
part of a message, nor of the result outside a `Secret`. Reads the file and, once, the files that hold secrets;
changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from trio_bridge.config import rules
from trio_bridge.config.dsn import verified, without_password
from trio_bridge.config.duration import parse_duration
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import (
    GrafanaSettings,
    HttpSettings,
    PostgresSettings,
    RouteSettings,
    ServiceSettings,
    Settings,
)
from trio_bridge.config.sources import Given, from_environment, from_file, from_flags, keys, split
from trio_bridge.config.values import convert
from trio_bridge.errors import ConfigError

_MISSING = {
    "postgres.dsn": "no database: give postgres.dsn in the file, TRIO_BRIDGE_POSTGRES_DSN or --dsn",
    "grafana.url": "no Grafana: give grafana.url in the file, TRIO_BRIDGE_GRAFANA_URL or --grafana-url",
    "route": "nothing to watch: give a [[route]] in the file, TRIO_BRIDGE_TABLE or --table",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings and where they come from.

    Attributes:
        settings: what the program runs with.
        origins: for each setting (``grafana.url``, ``route[0].table``): ``flag --x``,
            ``environment TRIO_BRIDGE_X``, the file's name, or ``default``.
        warnings: one sentence each, for the log.
    """

    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...]


def load(*, file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> Loaded:
    """Everything that a run needs.

    Args:
        file: the TOML file; None: the one that TRIO_BRIDGE_CONFIG names, if any.
        environ: the environment.
        flags: by their name (`sources.FLAGS`); None means: not given.

    Raises:
        ConfigError: the settings cannot work; one line for each mistake.
    """
    said = _Said(file, environ, flags)
    said.require("postgres.dsn", "grafana.url", "route")
    settings = Settings(
        postgres=PostgresSettings(**said.section("postgres")),
        grafana=GrafanaSettings(**said.section("grafana")),
        service=ServiceSettings(**said.section("service")),
        http=said.http(),
        route=said.routes(),
    )
    _stop_on(
        chain(
            rules.postgres_mistakes(settings.postgres, said.places),
            rules.grafana_mistakes(settings.grafana, said.places),
            rules.service_mistakes(settings.service),
            rules.http_mistakes(settings.http, said.places),
            rules.route_mistakes(settings.route),
        )
    )
    return Loaded(settings, said.origins(), tuple(rules.warnings(settings)))


def load_postgres(
    *, file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]
) -> PostgresSettings:
    """Only what it takes to reach the database: who installs need not know Grafana. Arguments as `load`.

    Raises:
        ConfigError: as `load`.
    """
    said = _Said(file, environ, flags)
    said.require("postgres.dsn")
    postgres = PostgresSettings(**said.section("postgres"))
    _stop_on(rules.postgres_mistakes(postgres, said.places))
    return postgres


def load_grafana(
    *, file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]
) -> GrafanaSettings:
    """Only what it takes to reach Grafana. Arguments as `load`.

    Raises:
        ConfigError: as `load`.
    """
    said = _Said(file, environ, flags)
    said.require("grafana.url")
    grafana = GrafanaSettings(**said.section("grafana"))
    _stop_on(rules.grafana_mistakes(grafana, said.places))
    return grafana


def load_routes(*, file: Path | None, environ: Mapping[str, str]) -> tuple[RouteSettings, ...]:
    """Only the routes, possibly none. Arguments as `load`.

    Raises:
        ConfigError: as `load`.
    """
    routes = _Said(file, environ, {}).routes()
    _stop_on(rules.route_mistakes(routes))
    return routes


def load_http(*, file: Path | None, environ: Mapping[str, str]) -> HttpSettings:
    """Only where a service serves its status. Arguments as `load`.

    Raises:
        ConfigError: as `load`.
    """
    said = _Said(file, environ, {})
    http = said.http()
    _stop_on(rules.http_mistakes(http, said.places))
    return http


class _Said:
    """What all sources say together: of each setting the strongest one's value, converted."""

    def __init__(self, file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> None:
        mistakes: list[str] = []
        self._environ = environ
        if file is None and (named := environ.get("TRIO_BRIDGE_CONFIG")):
            file = Path(named)
        in_file = {} if file is None else from_file(file, mistakes)
        outside = from_environment(environ, mistakes) | from_flags(flags)
        if any(_is_route(setting) for setting in in_file):
            mistakes += [
                f"{given.place}: {file} has routes of its own, say it there"
                for setting, given in outside.items()
                if _is_route(setting)
            ]
        _stop_on(mistakes)

        self._given = in_file | outside
        self._values: dict[str, Any] = {}
        try:
            self._take_dsn_apart()
        except ConfigError as error:
            mistakes.append(str(error))
        for setting, given in self._given.items():
            try:
                self._values[setting] = _value(setting, given)
            except ConfigError as error:
                mistakes.append(str(error))
        _stop_on(mistakes)

    @property
    def places(self) -> dict[str, str]:
        """Where each setting was said, as an error's sentence begins."""
        return {setting: given.place for setting, given in self._given.items()}

    def require(self, *settings: str) -> None:
        """Raises `ConfigError` for each of `settings` that no source says."""
        said = self._values.keys() | {split(setting)[0] for setting in self._values}
        _stop_on(_MISSING[setting] for setting in settings if setting not in said)

    def section(self, prefix: str) -> dict[str, Any]:
        """The values under ``prefix.``."""
        under = f"{prefix}."
        return {
            setting.removeprefix(under): value
            for setting, value in self._values.items()
            if setting.startswith(under)
        }

    def http(self) -> HttpSettings:
        """Where to serve the status; the default where nothing is said."""
        return HttpSettings(**self.section("http"))

    def routes(self) -> tuple[RouteSettings, ...]:
        """The routes; one without a name is called by its source."""
        return tuple(_route(prefix, self.section(prefix)) for prefix in self._route_prefixes())

    def origins(self) -> dict[str, str]:
        """For every setting, given or not, who decided it."""
        return {
            setting: given.origin if (given := self._given.get(setting)) else "default"
            for prefix in ("postgres", "grafana", "service", "http", *self._route_prefixes())
            for setting in (f"{prefix}.{key}" for key in keys(split(prefix)[0]))
        }

    def _route_prefixes(self) -> list[str]:
        return list(dict.fromkeys(setting.partition(".")[0] for setting in self._given if _is_route(setting)))

    def _take_dsn_apart(self) -> None:
        dsn = self._given.get("postgres.dsn")
        if dsn is None or not isinstance(dsn.value, str):
            return
        text, password = without_password(dsn.value, dsn.place)
        self._given["postgres.dsn"] = replace(dsn, value=verified(text, self._environ))
        if password is None:
            return
        if dsn.public:
            raise ConfigError(
                f"{dsn.place}: holds a password, and others can read it there: use password_file, or give the "
                "whole string as TRIO_BRIDGE_POSTGRES_DSN"
            )
        if own := self._given.get("postgres.password"):
            raise ConfigError(f"{dsn.place} holds a password, and so does {own.origin}: give one of the two")
        self._given["postgres.password"] = replace(dsn, value=password.reveal())


# Texts that mean something: a mistake in one is said where it was made.
_READERS: Mapping[tuple[str, str], Callable[[Any], object]] = {
    ("route", "table"): parse_table,
    ("route", "max_age"): parse_duration,
}


def _value(setting: str, given: Given) -> Any:
    section, key = split(setting)
    value = convert(given, keys(section)[key])
    parse = _READERS.get((section, key))
    if parse is not None:
        try:
            parse(value)
        except ConfigError as error:
            raise ConfigError(f"{given.place}: {error}") from None
    return value


def _route(prefix: str, said: dict[str, Any]) -> RouteSettings:
    said.setdefault("name", said.get("table") or said.get("channel") or prefix)
    return RouteSettings(**said)


def _is_route(setting: str) -> bool:
    return split(setting)[0] == "route"


def _stop_on(mistakes: Iterable[str]) -> None:
    if lines := list(mistakes):
        raise ConfigError("\n".join(lines))
