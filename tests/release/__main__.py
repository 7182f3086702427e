"""``python -m tests.release``: makes what is handed out in ``dist``, and checks it.

Wheel and sdist, ``sbom.cdx.json`` and ``licences.txt``; exit code 1 if the changelog has no section for the version, a
licence is not allowed, or an installed wheel does not start.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from tests.release import check
from trio_bridge import __version__


def main() -> None:
    """The command."""
    target = check.ROOT / "dist"
    shutil.rmtree(target, ignore_errors=True)
    if not re.search(
        rf"^## \[{re.escape(__version__)}\]", (check.ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    ):
        sys.exit(f"CHANGELOG.md has no section [{__version__}]: name the release before you make it")
    wheel, sdist = check.build(target)
    with tempfile.TemporaryDirectory() as place:
        python = check.install(wheel, Path(place))
        said = check.says(python, "-m", "trio_bridge", "--version")
        found = check.licences(check.bill_of_materials(python, target / "sbom.cdx.json"))
    (target / "licences.txt").write_text(
        "".join(
            f"{name}: {licence}\n"
            for name, licence in sorted(found.items(), key=lambda item: item[0].lower())
        )
    )
    if bad := check.forbidden(found):
        sys.exit(f"licences that are not allowed: {bad}")
    sys.stdout.write(f"{said}: {wheel.name}, {sdist.name}, sbom.cdx.json and licences.txt are in dist/\n")


if __name__ == "__main__":
    main()
