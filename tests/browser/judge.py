"""Starts ``judge.mjs`` and asks it what panels show; `unable` says why it cannot.

The judge is a node process around the ``StreamingDataFrame`` of npm's ``@grafana/data``. A batch of histories goes to
it as lines of JSON, its answers come back as lines; it ends with its input. It needs node and the packages beside it,
which ``make test`` installs; nothing here downloads anything.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

_HERE: Final = Path(__file__).parent
# A batch takes seconds; this only ends a judge that hangs.
_TIMEOUT_S: Final = 120


class Look(NamedTuple):
    """What one panel shows at one moment.

    Attributes:
        label: which look of the history it is.
        page: the browser tab.
        panel: its name there.
        columns: by name; times in ms since 1970.
        length: how many rows the panel believes to have.
        shortest: the fewest rows it has shown since the last look; None: it was not drawn since.
    """

    label: int
    page: int
    panel: str
    columns: dict[str, list[Any]]
    length: int
    shortest: int | None


class Answer(NamedTuple):
    """What came of one history: its looks in order, and what the buffer threw."""

    looks: list[Look]
    faults: list[str]


def unable() -> str | None:
    """Why the judge cannot be asked here; None: it can."""
    if shutil.which("node") is None:
        return "node is not installed: what a browser shows is NOT checked"
    if not (_HERE / "node_modules" / "@grafana" / "data").is_dir():
        return "@grafana/data is not installed (make test does it): what a browser shows is NOT checked"
    return None


def judge(histories: Iterable[Sequence[str]]) -> list[Answer]:
    """The answers to `histories`, each a sequence of commands in JSON as ``judge.mjs`` lists them."""
    asked = "".join(f"[{','.join(commands)}]\n" for commands in histories)
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run(
        [node, str(_HERE / "judge.mjs")],
        input=asked.encode(),
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [_answer(json.loads(line)) for line in done.stdout.splitlines()]


def _answer(answer: dict[str, Any]) -> Answer:
    looks = [
        Look(
            look["label"],
            look["page"],
            look["panel"],
            dict(zip(look["names"], look["values"], strict=True)),
            look["length"],
            look["shortest"],
        )
        for look in answer["looks"]
    ]
    return Answer(looks, answer["faults"])
