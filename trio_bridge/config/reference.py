"""The settings' types and docstrings → what the README and the handbook say of them, so that they cannot drift apart.

    python -m trio_bridge.config.reference          prints the README's table
    python -m trio_bridge.config.reference page     prints docs/configuration.md

Tests compare. Nothing is written here, and no value of an environment is looked at.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import NODEFAULT
from msgspec import inspect as types

from trio_bridge.config.settings import Settings
from trio_bridge.secret import Secret

_HEAD: Final = """# Configuration

<!-- Made by: python -m trio_bridge.config.reference page; a test compares. -->

A value comes from the first of these that has one: a flag of the command, the environment, the TOML file, the default.
`trio-bridge config` prints what that comes to, and where each value came from; secrets are masked.

- The file is named by `--config FILE` or by `TRIO_BRIDGE_CONFIG`. Without a file the environment is enough, for one
  route.
- Secrets come from the environment or from files that the settings name, never from a flag or from the TOML file.
- A list in the environment is written with commas: `TRIO_BRIDGE_FIELDS=value,unit`.
- An unknown key or variable is an error, and the message suggests the right name.
"""

_INTROS: Final = {
    "route": "One block `[[route]]` for each table or channel. The variables describe one route, for use without a "
    "file; with several routes the file is the place.",
}


def configuration_table() -> str:
    """A Markdown table: key, default, environment variable, meaning."""
    rows = ["| key | default | environment | meaning |", "|---|---|---|---|"]
    for section, struct in _sections():
        rows += [
            f"| {_key(section, field)} | {_default(section, field)} | `{_variable(section, field)}` | {meaning} |"
            for field, meaning in _fields(struct)
        ]
    return "\n".join(rows)


def configuration_page() -> str:
    """The handbook's page: a table for each section, with what a value may be."""
    parts = [_HEAD]
    for section, struct in _sections():
        title = "[[route]]" if section == "route" else f"[{section}]"
        intro = _INTROS.get(section, (inspect.getdoc(struct) or "").partition("\n")[0])
        rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
        rows += [
            f"| {_name(section, field)} | {_value(field)} | {_default(section, field)} | {meaning} |"
            for field, meaning in _fields(struct)
        ]
        parts.append("\n".join([f"## `{title}`", "", intro, "", *rows, ""]))
    return "\n".join(parts)


def _sections() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    for section in msgspec.structs.fields(Settings):
        yield section.name, section.type.__args__[0] if section.name == "route" else section.type


def _fields(struct: type[msgspec.Struct]) -> Iterator[tuple[msgspec.structs.FieldInfo, str]]:
    meanings = _meanings(struct)
    for field in msgspec.structs.fields(struct):
        yield field, meanings[field.name]


def _is_secret(field: msgspec.structs.FieldInfo) -> bool:
    return Secret in getattr(field.type, "__args__", ())


def _key(section: str, field: msgspec.structs.FieldInfo) -> str:
    if _is_secret(field):
        return "(environment only)"
    return f"`[[route]] {field.name}`" if section == "route" else f"`[{section}] {field.name}`"


def _name(section: str, field: msgspec.structs.FieldInfo) -> str:
    variable = f"`{_variable(section, field)}`"
    return f"{variable} only" if _is_secret(field) else f"`{field.name}`<br>{variable}"


def _variable(section: str, field: msgspec.structs.FieldInfo) -> str:
    prefix = "TRIO_BRIDGE_" if section == "route" else f"TRIO_BRIDGE_{section.upper()}_"
    return prefix + field.name.upper()


def _default(section: str, field: msgspec.structs.FieldInfo) -> str:
    if field.default is NODEFAULT:
        return "" if section == "route" else "required"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return "" if field.default in (None, ()) else f"`{field.default}`"


def _value(field: msgspec.structs.FieldInfo) -> str:
    """What a value may be, in words."""
    kind = types.type_info(field.type)
    kinds = kind.types if isinstance(kind, types.UnionType) else (kind,)
    return " or ".join(_in_words(kind) for kind in kinds if not isinstance(kind, types.NoneType))


def _in_words(kind: types.Type) -> str:
    match kind:
        case types.IntType() | types.FloatType():
            noun = "whole number" if isinstance(kind, types.IntType) else "number"
            least = (
                f"{kind.ge:,}" if kind.ge is not None else f"above {kind.gt:,}" if kind.gt is not None else ""
            )
            return f"{noun}, {least} to {kind.le:,}" if kind.le is not None and least else noun
        case types.BoolType():
            return "`true` or `false`"
        case types.LiteralType():
            return ", ".join(f"`{value}`" for value in kind.values)
        case types.StrType(pattern=str(pattern)):
            return f"`{pattern.strip('^$')}`"
        case types.VarTupleType():
            return "list of names"
        case types.CustomType(cls=cls) if cls is Path:
            return "path"
    return "text"


def _meanings(struct: type) -> dict[str, str]:
    """What the docstring's ``Attributes:`` say, each on one line."""
    text = inspect.getdoc(struct) or ""
    entries = re.split(r"\n    (?=\w+: )", text.partition("Attributes:")[2])
    pairs = (" ".join(entry.split()).partition(": ") for entry in entries if entry.strip())
    return {name: meaning.replace("``", "`").replace("|", "\\|") for name, _, meaning in pairs}


if __name__ == "__main__":
    sys.stdout.write(configuration_page() if "page" in sys.argv[1:] else configuration_table() + "\n")
