"""Loaded settings → the configuration file that would say the same, with who decided each value beside it.

Pure. What it prints can be saved and loaded: it is TOML, where an unset key is a comment, and so is a secret:
that shows as ``********``, because it could not stand in a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from trio_bridge.config.load import Loaded
from trio_bridge.secret import Secret

# Where the comments begin, unless a value is longer.
_COMMENT_COLUMN = 48


def show(loaded: Loaded) -> str:
    """The effective configuration, one setting a line."""
    settings = loaded.settings
    sections: list[tuple[str, str, msgspec.Struct]] = [
        ("[postgres]", "postgres", settings.postgres),
        ("[grafana]", "grafana", settings.grafana),
        *(("[[route]]", f"route[{number}]", route) for number, route in enumerate(settings.route)),
        ("[service]", "service", settings.service),
        ("[http]", "http", settings.http),
    ]
    return "\n".join(
        line for title, prefix, section in sections for line in (title, *_lines(prefix, section, loaded), "")
    )


def _lines(prefix: str, section: msgspec.Struct, loaded: Loaded) -> Iterator[str]:
    for key in section.__struct_fields__:
        value = getattr(section, key)
        if value is None:
            setting = f"# {key} ="
        elif isinstance(value, Secret):
            setting = f"# {key} = {value}"
        else:
            setting = f"{key} = {_toml(value)}"
        yield f"{setting:<{_COMMENT_COLUMN}}  # {loaded.origins[f'{prefix}.{key}']}"


def _toml(value: object) -> str:
    # Before numbers: to Python a bool is one.
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, int | float):
        return str(value)
    # A JSON string is a TOML string, as long as characters outside ASCII stand for themselves; control
    # characters do not get past loading.
    return json.dumps(str(value), ensure_ascii=False)
