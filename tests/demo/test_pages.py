"""The web page: complete, from this package alone, and speaking of figures that exist."""

from __future__ import annotations

import re

import httpx
import pytest

from trio_bridge.demo.pages import load_pages
from trio_bridge.demo.statistics import DemoStatistics
from trio_bridge.live.server import LiveServer

PAGES = load_pages()
OWN = [path for path in PAGES if not path.startswith("/uPlot")]


def text(path: str) -> str:
    return PAGES[path][1].decode()


def test_page_is_complete() -> None:
    """Every file that the page or one of its scripts asks for is there, with the content type it needs."""
    asked = set(re.findall(r'(?:src|href)="(?!data:)([^"]+)"', text("/")))
    for path in OWN:
        asked |= {name.removeprefix("./") for name in re.findall(r'from "([^"]+)"', text(path))}
    assert {"page.js", "live.js", "charts.js", "uPlot.iife.min.js", "style.css"} <= asked
    assert {f"/{name}" for name in asked} <= set(PAGES)
    for path, (content_type, body) in PAGES.items():
        assert body
        if path.endswith(".js"):
            assert content_type == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("path", OWN)
def test_nothing_from_elsewhere(path: str) -> None:
    """The page needs no other host: no address but the names of XML's own namespaces."""
    addresses = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"')]*", text(path))
    assert [address for address in addresses if "www.w3.org" not in address] == []


def test_figures_exist() -> None:
    """Each figure that the page shows is an attribute of the statistics it is sent."""
    named = set(re.findall(r'data-(?:figure|rate)="(\w+)"', text("/")))
    named |= set(re.findall(r"moment\.(\w+)", text("/flow.js")))
    assert {"committed", "acknowledged", "mode", "latency_p99_ms"} <= named
    assert named <= set(DemoStatistics.__dataclass_fields__)


def test_elements_exist() -> None:
    """Each element that a script looks up is in the page."""
    ids = set(re.findall(r'id="([\w-]+)"', text("/")))
    for path in OWN:
        asked = set(re.findall(r'(?:getElementById|speed|state)\("([\w-]+)"', text(path)))
        assert asked <= ids, path


def test_foreign_code_has_its_licence() -> None:
    """uPlot travels with its version and its licence."""
    assert "uPlot (v1.6.32)" in text("/uPlot.iife.min.js")[:200]
    assert text("/uPlot.LICENSE").startswith("The MIT License")


async def test_live_server_serves_it() -> None:
    """A browser gets the page and its scripts from the Live server, byte for byte."""
    async with LiveServer(pages=PAGES) as live, httpx.AsyncClient(base_url=live.url) as client:
        for path, (content_type, body) in PAGES.items():
            answer = await client.get(path)
            assert (answer.status_code, answer.content) == (200, body)
            assert answer.headers["content-type"] == content_type
