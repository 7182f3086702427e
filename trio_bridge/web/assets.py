"""The files of the status page: path → content type and bytes. Package data, read once; nothing else is ever served."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

_CONTENT_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
}


def load_page() -> dict[str, tuple[str, bytes]]:
    """Every file of the page under its path, and the page itself under ``/``."""
    found = {}
    for file in files("trio_bridge.web").joinpath("page").iterdir():
        content_type = _CONTENT_TYPES.get(file.name.rpartition(".")[2])
        if content_type is not None:
            found[f"/{file.name}"] = (content_type, file.read_bytes())
    return {"/": found["/index.html"], **found}
