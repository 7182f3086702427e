"""The files of the demo's web page, as the Live server serves them: path → content type and bytes.

They are package data, read once, so the page works from a wheel and without the internet; uPlot comes with
it, under its own licence (MIT). Nothing else in the package is ever served.
"""

from __future__ import annotations

from importlib.resources import files

_CONTENT_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "LICENSE": "text/plain; charset=utf-8",
}


def load_pages() -> dict[str, tuple[str, bytes]]:
    """Every file of the page under its path, and the page itself under ``/``."""
    pages = {}
    for file in files("trio_bridge.demo").joinpath("page").iterdir():
        content_type = _CONTENT_TYPES.get(file.name.rpartition(".")[2])
        if content_type is not None:
            pages[f"/{file.name}"] = (content_type, file.read_bytes())
    return {"/": pages["/index.html"], **pages}
