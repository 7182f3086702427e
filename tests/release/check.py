"""A checkout → what is handed out (wheel, sdist, SBOM, licences), built and tried as a user would get it.

`build` makes the two distributions with what is installed, so that no unpinned build environment is fetched.
`install` puts one of them into an empty environment, with the pinned and hashed requirements and nothing else.
`bill_of_materials` (CycloneDX) describes exactly that environment. Needs a package registry for the requirements, as
every installation does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
RUN_REQUIREMENTS: Final = ROOT / "requirements" / "run.txt"

# Permissive, or weak copyleft that asks nothing of a program which merely imports it.
ALLOWED_LICENCES: Final = (
    "Apache-2.0",
    "Apache Software License",
    "BSD",
    "ISC",
    "LGPL-3.0",
    "MIT",
    "MPL-2.0",
    "PSF-2.0",
    "Python-2.0",
    "0BSD",
)


def build(target: Path) -> tuple[Path, Path]:
    """Wheel and sdist in `target`; the wheel is made from the sdist, as every packager will do it."""
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(ROOT))
    (wheel,) = target.glob("*.whl")
    (sdist,) = target.glob("*.tar.gz")
    return wheel, sdist


def install(distribution: Path, place: Path) -> Path:
    """Its interpreter, after `distribution` was installed into a new environment at `place`."""
    _run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(place))
    python = place / "bin" / "python"
    pip = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python))
    _run(*pip, "--require-hashes", "--requirement", str(RUN_REQUIREMENTS))
    if distribution.suffix != ".whl":
        # What builds it; at the versions that are installed here, which requirements/dev.txt pins.
        _run(*pip, *_pinned("hatchling", "editables"))
    _run(*pip, "--no-deps", "--no-build-isolation", str(distribution))
    return python


def bill_of_materials(python: Path, target: Path) -> dict[str, Any]:
    """CycloneDX 1.6 of the environment of `python`, also written to `target`."""
    _run(
        sys.executable, "-m", "cyclonedx_py", "environment", str(python),
        "--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--output-file", str(target),
    )  # fmt: skip
    bill: dict[str, Any] = json.loads(target.read_text())
    return bill


def licences(bill: dict[str, Any]) -> dict[str, str]:
    """Component → its licence, as the bill says."""
    return {component["name"]: _licence(component) for component in bill["components"]}


def forbidden(found: dict[str, str]) -> dict[str, str]:
    """Those of `found` that are not among `ALLOWED_LICENCES`."""
    return {
        name: licence
        for name, licence in found.items()
        if not any(allowed.lower() in licence.lower() for allowed in ALLOWED_LICENCES)
    }


def says(python: Path, *arguments: str) -> str:
    """What ``python arguments`` prints, with nothing of this checkout in reach."""
    done = subprocess.run(
        [str(python), "-P", *arguments], capture_output=True, text=True, check=True, cwd=python.parent, env={}
    )
    return done.stdout.strip()


def _licence(component: dict[str, Any]) -> str:
    entries = [entry.get("license", entry) for entry in component.get("licenses", ())]
    found = [entry.get("id") or entry.get("expression") or entry.get("name", "") for entry in entries]
    return " or ".join(dict.fromkeys(filter(None, found)))


def _pinned(*names: str) -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in names]


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
