"""What the page keeps of a channel, asked of its own code in node: Grafana's rule, and no more than the window."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import {{ Buffer }} from {module};
const buffer = new Buffer();
const looks = [];
for await (const chunk of process.stdin) {{
  for (const frame of JSON.parse(chunk)) {{
    buffer.take(frame);
    looks.push({{ fields: buffer.fields.map((field) => field.name), rows: [...buffer.rows], newest: buffer.newest }});
  }}
}}
console.log(JSON.stringify(looks));
"""

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed: the page's buffer is not tested")


def frame(fields: str, *rows: tuple[float | None, ...]) -> dict[str, Any]:
    """Rows of (time, value of each of `fields`) with their schema; a field whose name begins with ``_`` is text."""
    schema = [{"name": "labels", "type": "string"}, {"name": "time", "type": "time"}]
    schema += [
        {"name": name, "type": "string" if name.startswith("_") else "number"} for name in fields.split()
    ]
    columns = [[""] * len(rows), *(list(column) for column in zip(*rows, strict=True))]
    return {"schema": {"name": "m", "fields": schema}, "data": {"values": columns}}


def looks(tmp_path: Path, *frames: dict[str, Any]) -> list[dict[str, Any]]:
    """What the buffer holds after each frame."""
    assert NODE is not None
    module = tmp_path / "frames.mjs"
    module.write_text(files("trio_bridge.demo").joinpath("page", "frames.js").read_text())
    script = tmp_path / "ask.mjs"
    script.write_text(SCRIPT.format(module=json.dumps(f"./{module.name}")))
    done = subprocess.run(
        [NODE, str(script)],
        input=json.dumps(frames),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    result: list[dict[str, Any]] = json.loads(done.stdout)
    return result


def times(look: dict[str, Any]) -> list[float]:
    return [row[0] for row in look["rows"]]


def marked(mark: str, *at: float) -> dict[str, Any]:
    """A frame of rows at these times that carries a mark and its schema."""
    return frame(f"{mark} v", *((time, None, time) for time in at))


def unsaid(*at: float) -> dict[str, Any]:
    """A frame like the last one, without a schema."""
    return {"data": marked("_0", *at)["data"]}


def test_another_schema_replaces_and_the_same_appends(tmp_path: Path) -> None:
    """A changed mark empties the buffer; frames without a schema, or with the same, are added to it."""
    seen = looks(tmp_path, marked("_1", 1, 2), unsaid(3), marked("_1", 4), marked("_2", 3, 4, 5, 6, 7, 8))
    assert [times(look) for look in seen] == [[1, 2], [1, 2, 3], [1, 2, 3, 4], [3, 4, 5, 6, 7, 8]]
    assert seen[-1]["newest"] == 8


def test_new_fields_replace_and_marks_are_hidden(tmp_path: Path) -> None:
    """Fields are those of the last schema without its mark; a field more replaces, and nulls stay nulls."""
    first = frame("_1 a", (1, None, 10))
    second = frame("_2 a b", (1, None, 10, None), (2, None, None, 20))
    seen = looks(tmp_path, first, second)
    assert [look["fields"] for look in seen] == [["a"], ["a", "b"]]
    assert seen[-1]["rows"] == [[1, "", 10, None], [2, "", None, 20]]


def test_rows_are_ordered_within_a_frame_only(tmp_path: Path) -> None:
    """A frame is sorted by time and keeps equal times; an older row in the next frame stays where it came."""
    seen = looks(tmp_path, marked("_1", 3, 1, 1, 2), unsaid(0))
    assert [times(look) for look in seen] == [[1, 1, 2, 3], [1, 1, 2, 3, 0]]
    assert seen[-1]["newest"] == 3


def test_no_more_than_the_window_is_kept(tmp_path: Path) -> None:
    """Once a keyframe brings less than was there its length is the bound; a window that grows is not cut."""
    seen = looks(
        tmp_path,
        marked("_1", 1, 2),
        unsaid(3, 4),
        marked("_2", 2, 3, 4),
        unsaid(5),
        marked("_3", 3, 4, 5),
        unsaid(6),
        marked("_4", 2, 3, 4, 5, 6),
        unsaid(7),
    )
    assert [times(look) for look in seen] == [
        [1, 2],
        [1, 2, 3, 4],
        [2, 3, 4],
        [3, 4, 5],
        [3, 4, 5],
        [4, 5, 6],
        [2, 3, 4, 5, 6],
        [2, 3, 4, 5, 6, 7],
    ]
