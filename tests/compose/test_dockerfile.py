"""The Dockerfile by our own rules: small, pinned, not root, and for an engine 20.10."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.compose.stack import FOLDER

ROOT = Path(__file__).parents[2]
TEXT = (FOLDER / "Dockerfile").read_text("utf-8")


def instructions() -> list[tuple[str, str]]:
    """Each instruction and its arguments, continued lines joined, comments left out."""
    lines = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines.splitlines() if line)
    ]


INSTRUCTIONS = instructions()


def arguments(wanted: str) -> list[str]:
    return [rest for word, rest in INSTRUCTIONS if word == wanted]


def test_no_other_frontend_is_fetched() -> None:
    """No syntax line, nothing that needs one: no mounts, no here-documents, no flag but --from."""
    assert not re.search(r"^#\s*(syntax|escape|check)\s*=", TEXT, re.MULTILINE | re.IGNORECASE)
    assert "<<" not in TEXT
    assert {word for word, _ in INSTRUCTIONS} == {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "CMD"}
    flags = [
        flag
        for word in ("COPY", "RUN")
        for rest in arguments(word)
        for flag in rest.split()
        if flag[:2] == "--"
    ]
    assert flags == ["--from=build"]


def test_two_stages_from_one_pinned_base() -> None:
    """What builds is not in the result; both are of the Python whose folder is filled."""
    first, last = arguments("FROM")
    assert first == f"{last} AS build"
    version = re.fullmatch(r"python:(\d\.\d+)-slim-\w+", last)
    assert version
    assert f"/opt/trio_bridge/lib/python{version[1]}/site-packages/" in TEXT


@pytest.mark.parametrize("words", [*arguments("RUN"), *arguments("CMD")])
def test_commands_are_in_exec_form(words: str) -> None:
    """No shell between the engine and the program: signals arrive, and nothing is expanded."""
    assert all(isinstance(word, str) for word in json.loads(words))


def test_packages_are_pinned_by_hash() -> None:
    """pip takes only what requirements/run.txt has the hash of, as wheels, and keeps no cache."""
    (install,) = (json.loads(words) for words in arguments("RUN") if '"install", "--no-cache-dir"' in words)
    assert {"--require-hashes", "--only-binary", ":all:", "run.txt"} <= set(install)
    text = (ROOT / "requirements" / "run.txt").read_text()
    # A requirement begins at the margin; its hashes are indented below it.
    pinned = re.findall(r"^[\w-]+(?:\[.+\])?==.+(?:\n[ ].+)*", text, re.MULTILINE)
    assert pinned
    assert all("--hash=sha256:" in requirement for requirement in pinned)


def test_it_does_not_run_as_root() -> None:
    """A number, so that an orchestrator can see it; nothing is done after it but to start."""
    assert INSTRUCTIONS[-2:] == [("USER", "10001:10001"), ("CMD", '["python", "-m", "trio_bridge", "run"]')]


def test_nothing_of_it_can_be_changed_by_who_runs_it() -> None:
    """Program and packages are root's, and nothing secret is in a layer: no variable, no argument of the build."""
    assert not any("--chown" in rest or "--chmod" in rest for rest in arguments("COPY"))
    assert [words for words in arguments("RUN") if "10001" in words] == [
        '["install", "--directory", "--owner=10001", "--group=10001", "--mode=0700", "/var/lib/trio_bridge"]'
    ]
    assert not arguments("ARG")
    assert not re.search(r"TOKEN|PASSWORD|SECRET", TEXT)


def test_only_what_is_copied_is_sent_to_the_engine() -> None:
    """The ignore file begins with everything; each thing that is copied is there and excepted."""
    ignored = [
        line for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] != "#"
    ]
    assert ignored[0] == "*"
    copied = [rest.split()[0] for rest in arguments("COPY") if not rest.startswith("--from")]
    assert sorted(line[1:] for line in ignored if line[0] == "!") == sorted(copied)
    assert all((ROOT / name).exists() for name in copied)
