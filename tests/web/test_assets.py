"""The page: complete, from this package alone, and speaking of figures that exist."""

from __future__ import annotations

import re

import pytest

from trio_bridge.web.assets import load_page
from trio_bridge.web.moment import Duration, Moment, RouteMoment

PAGE = load_page()


def text(path: str) -> str:
    return PAGE[path][1].decode()


def test_page_is_complete() -> None:
    """Every file that the page asks for is there, with the content type that it needs."""
    asked = set(re.findall(r'(?:src|href)="(?!data:)([^"]+)"', text("/")))
    assert asked == {"style.css", "page.js", "metrics", "readyz", "status.json"}
    assert PAGE.keys() == {"/", "/index.html", "/style.css", "/page.js"}
    assert PAGE["/page.js"][0] == "text/javascript; charset=utf-8"
    assert PAGE["/style.css"][0] == "text/css; charset=utf-8"


@pytest.mark.parametrize("path", sorted(PAGE))
def test_nothing_from_elsewhere(path: str) -> None:
    """The page needs no other host: no address but the name of XML's own namespace."""
    addresses = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"')]*", text(path))
    assert [address for address in addresses if "www.w3.org" not in address] == []


def test_nothing_of_a_route_becomes_markup() -> None:
    """A table may be called anything: names and sentences are set as text only."""
    assert "innerHTML" not in text("/page.js")
    assert "insertAdjacent" not in text("/page.js")


def test_figures_exist() -> None:
    """Each figure that the page shows is one that it is sent."""
    script = re.sub(r"//.*", "", text("/page.js"))
    named = set(re.findall(r"\broute\.(\w+)", script)) | set(re.findall(r"\bmoment\.(\w+)", script))
    assert {"acknowledged", "postgres", "uptime_s"} <= named
    assert named <= {*RouteMoment.__struct_fields__, *Moment.__struct_fields__}
    assert set(Duration.__struct_fields__) == {"p50", "p99"}


def test_places_exist() -> None:
    """Each text has its place and each place its text; each part and hop that the script changes is there."""
    script, page = text("/page.js"), text("/")
    texts = re.search(r"const texts = \{(.*?)\n  \};", script, re.DOTALL)
    assert texts is not None
    assert set(re.findall(r"^    (\w+):", texts[1], re.MULTILINE)) == set(
        re.findall(r'data-text="(\w+)"', page)
    )
    assert set(re.findall(r'part\(card, "(\w+)"', script)) <= set(re.findall(r'data-part="(\w+)"', page))
    assert set(re.findall(r'hop\(card, "(\w+)"', script)) == set(re.findall(r'data-hop="(\w+)"', page))
    assert set(re.findall(r'getElementById\("(\w+)"', script)) <= set(re.findall(r'id="(\w+)"', page))
