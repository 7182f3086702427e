"""The settings' types and docstrings → the configuration table of the README, so that the two cannot drift apart.

``python -m trio_bridge.config.reference`` prints it; a test compares.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import msgspec
from msgspec import NODEFAULT

from trio_bridge.config.settings import Settings
from trio_bridge.secret import Secret


def configuration_table() -> str:
    """A Markdown table: key, default, environment variable, meaning."""
    rows = ["| key | default | environment | meaning |", "|---|---|---|---|"]
    for section in msgspec.structs.fields(Settings):
        struct = section.type.__args__[0] if section.name == "route" else section.type
        rows += _rows(section.name, struct)
    return "\n".join(rows)


def _rows(section: str, struct: type[msgspec.Struct]) -> Iterator[str]:
    meanings = _meanings(struct)
    prefix = "TRIO_BRIDGE_" if section == "route" else f"TRIO_BRIDGE_{section.upper()}_"
    for field in msgspec.structs.fields(struct):
        key = f"`[[route]] {field.name}`" if section == "route" else f"`[{section}] {field.name}`"
        if Secret in getattr(field.type, "__args__", ()):
            key = "(environment only)"
        if field.default is NODEFAULT:
            default = "" if section == "route" else "required"
        elif field.default in (None, ()):
            default = ""
        else:
            default = f"`{field.default}`"
        yield f"| {key} | {default} | `{prefix}{field.name.upper()}` | {meanings[field.name]} |"


def _meanings(struct: type) -> dict[str, str]:
    """What the docstring's ``Attributes:`` say, each on one line."""
    text = inspect.getdoc(struct) or ""
    entries = re.split(r"\n    (?=\w+: )", text.partition("Attributes:")[2])
    pairs = (" ".join(entry.split()).partition(": ") for entry in entries if entry.strip())
    return {name: meaning.replace("``", "`").replace("|", "\\|") for name, _, meaning in pairs}


if __name__ == "__main__":
    print(configuration_table())  # noqa: T201
