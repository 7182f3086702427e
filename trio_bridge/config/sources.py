"""Where the operator speaks: the TOML file, the environment, the flags → what each of them says, by setting.

A setting is named by a dotted key: ``grafana.url``, ``route[0].table``. Each source yields a `Given` for each
setting it names, not yet checked against its type; a name that means nothing is a mistake, with a suggestion.
Nothing here knows a default, a bound or which source wins, and no value is ever part of a message: it might be
a secret under the wrong name.

A variable that is empty counts as not set: that is how compose files and unit files pass on an optional one.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from trio_bridge.config.settings import (
    GrafanaSettings,
    HttpSettings,
    PostgresSettings,
    RouteSettings,
    ServiceSettings,
)
from trio_bridge.config.suggest import did_you_mean
from trio_bridge.errors import ConfigError

SECTIONS: Mapping[str, type[msgspec.Struct]] = {
    "postgres": PostgresSettings,
    "grafana": GrafanaSettings,
    "service": ServiceSettings,
    "http": HttpSettings,
    "route": RouteSettings,
}

# Flag → setting. None of them is a secret (a file's name is none): any user can read a command line.
FLAGS: Mapping[str, str] = {
    "--dsn": "postgres.dsn",
    "--table": "route[0].table",
    "--channel": "route[0].channel",
    "--stream": "route[0].stream",
    "--grafana-url": "grafana.url",
    "--token-file": "grafana.token_file",
    "--message-interval-ms": "grafana.message_interval_ms",
    "--log-format": "service.log_format",
    "--log-level": "service.log_level",
}

_PREFIX = "TRIO_BRIDGE_"
# Not settings: the file's own name, where the demo finds a PostgreSQL, and what the tests tell each other.
_OTHER_VARIABLES = ("TRIO_BRIDGE_CONFIG", "TRIO_BRIDGE_PGBIN")
_TEST_PREFIX = "TRIO_BRIDGE_TEST_"


@dataclass(frozen=True, slots=True)
class Given:
    """What one source says of one setting.

    Attributes:
        value: as the source holds it: typed from the file and the flags, text from the environment.
        origin: the source in words: ``config.toml``, ``environment TRIO_BRIDGE_TABLE``, ``flag --table``.
        place: origin and key, the beginning of an error's sentence.
        is_text: numbers and lists are still text (environment).
        public: others can read the source; no secret may stand there.
        folder: what a relative path in the value starts from.
    """

    value: Any = field(repr=False)
    origin: str
    place: str
    is_text: bool = False
    public: bool = False
    folder: Path = Path()


def keys(section: str) -> dict[str, msgspec.structs.FieldInfo]:
    """The keys of a section, as the settings' types have them."""
    return {info.name: info for info in msgspec.structs.fields(SECTIONS[section])}


def split(setting: str) -> tuple[str, str]:
    """``route[0].table`` → ``route``, ``table``."""
    prefix, _, key = setting.partition(".")
    return prefix.partition("[")[0], key


def from_flags(flags: Mapping[str, object]) -> dict[str, Given]:
    """Flags by their name with dashes; None means: not given."""
    return {
        FLAGS[flag]: Given(value, f"flag {flag}", f"flag {flag}", public=True)
        for flag, value in flags.items()
        if value is not None
    }


def from_environment(environ: Mapping[str, str], mistakes: list[str]) -> dict[str, Given]:
    """Every ``TRIO_BRIDGE_…`` variable; an unknown one is a mistake."""
    known = {f"{_PREFIX}{name.upper()}": setting for name, setting in _variables()}
    given = {}
    for variable, value in environ.items():
        if not variable.startswith(_PREFIX) or variable.startswith(_TEST_PREFIX):
            continue
        if variable in known:
            if value:
                origin = f"environment {variable}"
                given[known[variable]] = Given(value, origin, origin, is_text=True)
        elif variable not in _OTHER_VARIABLES:
            mistakes.append(
                f"environment: {_shown(variable)} means nothing to trio-bridge"
                f"{did_you_mean(variable, [*known, *_OTHER_VARIABLES])}"
            )
    return given


def _variables() -> Iterator[tuple[str, str]]:
    for section in SECTIONS:
        for key in keys(section):
            yield (key, f"route[0].{key}") if section == "route" else (f"{section}_{key}", f"{section}.{key}")


def from_file(file: Path, mistakes: list[str]) -> dict[str, Given]:
    """Every key of the TOML file; an unknown section or key is a mistake.

    Raises:
        ConfigError: the file cannot be read or is not TOML.
    """
    given: dict[str, Given] = {}
    for name, content in _read(file).items():
        if name not in SECTIONS:
            kind = "section" if isinstance(content, dict | list) else "key"
            mistakes.append(f"{file}: there is no {kind} {_shown(name)}{did_you_mean(name, SECTIONS)}")
        elif name == "route":
            if not _is_list_of_tables(content):
                mistakes.append(f"{file}: write [[route]], with two brackets: there may be several")
                continue
            for number, table in enumerate(content):
                label = "[[route]]" if len(content) == 1 else f"[[route]] {number + 1}"
                if not table:
                    mistakes.append(f"{file}: {label} is empty: give it a table")
                given |= _from_table(file, label, f"route[{number}]", table, mistakes)
        elif not isinstance(content, dict):
            mistakes.append(f"{file}: {name} is a section: write [{name}]")
        else:
            given |= _from_table(file, f"[{name}]", name, content, mistakes)
    return given


def _from_table(
    file: Path, label: str, prefix: str, table: dict[str, Any], mistakes: list[str]
) -> dict[str, Given]:
    known = keys(split(prefix)[0])
    mistakes += [
        f"{file}: {label} has no key {_shown(key)}{did_you_mean(key, known)}"
        for key in table
        if key not in known
    ]
    return {
        f"{prefix}.{key}": Given(value, str(file), f"{file}: {label} {key}", public=True, folder=file.parent)
        for key, value in table.items()
        if key in known
    }


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not UTF-8") from None
    # The decoder's sentence names the place and the rule; newer Pythons' exception also holds the whole text.
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: is not TOML: {error}") from None


def _is_list_of_tables(content: object) -> bool:
    return isinstance(content, list) and all(isinstance(table, dict) for table in content)


def _shown(name: str) -> str:
    return json.dumps(name)
