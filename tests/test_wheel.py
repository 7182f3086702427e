"""What a user installs holds all that the program needs: SQL, page, typing marker, licences."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with what is installed: an isolated build would fetch an unpinned one."""
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (found,) = target.glob("*.whl")
    return found


def test_the_wheel_is_complete(wheel: Path) -> None:
    """Every SQL file, the page and the typing marker of the checkout are in it, and nothing of the tests."""
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path.relative_to(ROOT / "sql") for path in (ROOT / "sql").rglob("*.sql")]
    assert len(files) > 10
    assert {f"trio_bridge/sql/{file.as_posix()}" for file in files} <= names
    assert {"trio_bridge/py.typed", "trio_bridge/demo/page/index.html"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith("tests/") for name in names)


def test_an_installed_wheel_finds_its_sql(wheel: Path, tmp_path: Path) -> None:
    """Unpacked without the checkout, the package reads its own SQL."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = f"""
import sys
sys.path = [{str(tmp_path)!r}, *(path for path in sys.path if path != {str(ROOT)!r})]
import trio_bridge.postgres.queries as queries
print(queries.__file__, len(queries.load("schema")))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    place, size = done.stdout.split()
    assert place.startswith(str(tmp_path))
    assert int(size) > 500
