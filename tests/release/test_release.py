"""What a user installs works without the checkout, is complete, and says what it is made of."""

from __future__ import annotations

import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.release import check
from trio_bridge import __version__

NEEDED = ("sql/trigger.sql", "py.typed", "demo/page/index.html", "web/page/index.html")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return check.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return check.install(distributions[0], tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def bill(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return check.bill_of_materials(installed, tmp_path_factory.mktemp("sbom") / "sbom.cdx.json")


def test_the_wheel_is_complete(distributions: tuple[Path, Path]) -> None:
    """Every SQL file, the pages and the typing marker of the checkout are in it, and nothing of the tests."""
    names = set(zipfile.ZipFile(distributions[0]).namelist())
    files = [path.relative_to(check.ROOT / "sql") for path in (check.ROOT / "sql").rglob("*.sql")]
    assert len(files) > 10
    assert {f"trio_bridge/sql/{file.as_posix()}" for file in files} <= names
    assert {f"trio_bridge/{name}" for name in NEEDED} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith("tests/") for name in names)


def test_the_wheel_works_in_an_empty_environment(installed: Path) -> None:
    """With the pinned requirements alone: version, help, configuration, SQL and pages are there."""
    assert check.says(installed, "-m", "trio_bridge", "--version").endswith(__version__)
    assert "run" in check.says(installed, "-m", "trio_bridge", "--help")
    code = f"""
from importlib.resources import files
import trio_bridge.postgres.queries as queries, trio_bridge.service
assert queries.statement("queries/delta", no_key=queries.raw("x"), key_text=queries.raw("x"),
    max_row_bytes=queries.raw("1"), scans=queries.raw("x"), limit=queries.raw("1"), key_names=queries.raw("x"))
print(all(files("trio_bridge").joinpath(name).is_file() for name in {NEEDED!r}), queries.__file__)
"""
    there, place = check.says(installed, "-c", code).split()
    assert there == "True"
    assert place.startswith(str(installed.parents[1]))


def test_the_sdist_makes_the_same(distributions: tuple[Path, Path], tmp_path: Path) -> None:
    """Who builds from source gets the same program."""
    python = check.install(distributions[1], tmp_path / "sdist")
    assert check.says(python, "-m", "trio_bridge", "--version").endswith(__version__)
    code = "import trio_bridge.postgres.queries as queries; print(queries.load('trigger'))"
    assert "CREATE OR REPLACE TRIGGER" in check.says(python, "-c", code)


def test_the_sdist_holds_what_a_packager_needs(distributions: tuple[Path, Path]) -> None:
    """Program, SQL, tests, licence, and nothing that a build left behind."""
    with tarfile.open(distributions[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "trio_bridge/cli.py",
        "trio_bridge/sql/trigger.sql",
        "tests/conftest.py",
        "LICENSE",
        "CHANGELOG.md",
    } <= names
    assert not [name for name in names if re.search(r"node_modules|__pycache__|\.venv|\.pyc$", name)]


def test_the_requirements_are_pinned_by_hash_and_name_no_host() -> None:
    """Each is one exact version with its hashes; where it comes from is the installer's choice."""
    for file in ("run.txt", "dev.txt"):
        text = (check.ROOT / "requirements" / file).read_text()
        pins = re.findall(r"^[A-Za-z0-9_.\[\]-]+==\S+", text, flags=re.MULTILINE)
        assert len(pins) > 10
        assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) >= len(pins)
        assert "://" not in text
        assert "index-url" not in text


def test_the_bill_of_materials_names_everything(bill: dict[str, Any]) -> None:
    """Every pinned requirement of the program is in it, at its version."""
    pins = dict(
        re.findall(
            r"^([A-Za-z0-9_.-]+)(?:\[\w+\])?==([^ \\;]+)", check.RUN_REQUIREMENTS.read_text(), re.MULTILINE
        )
    )
    found = {component["name"].lower(): component["version"] for component in bill["components"]}
    # What is only for other systems or Pythons is pinned, but not installed here.
    here = {name: version for name, version in pins.items() if name in found}
    assert len(here) > 20
    assert {name: found[name] for name in here} == here
    assert bill["metadata"]["component"]["name"] == "trio-bridge"


def test_every_licence_is_known_and_allowed(bill: dict[str, Any]) -> None:
    """Nothing in it forbids to use or to pass the program on."""
    found = check.licences(bill)
    assert all(found.values()), found
    assert check.forbidden(found) == {}
    assert check.forbidden({"x": "AGPL-3.0-only"}) == {"x": "AGPL-3.0-only"}
