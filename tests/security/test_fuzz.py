"""Rows, configuration files and environments of any content, by the thousands."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.security.fuzz import MAPPINGS, Broken, Counts, Judge, run
from trio_bridge.config.load import load
from trio_bridge.decoder.encoder import Encoder
from trio_bridge.errors import ConfigError
from trio_bridge.records import Batch, Page

TOKEN = "glsa_fuzzfuzzfuzzfuzz"
text = st.text(max_size=40)
scalars = st.one_of(st.booleans(), st.integers(), st.floats(), text, st.lists(text, max_size=3))


def test_rows_of_any_bytes() -> None:
    """Some thousands of what ``python -m tests.security.fuzz`` tries by the million."""
    counts = run(6_000, seed=random.randrange(2**32))
    assert counts.inputs >= 6_000
    assert set(counts.per_mapping) == set(MAPPINGS)
    assert counts.points > 1_000
    assert counts.values > 500
    assert len(counts.rejected) > 7


BAD_LINES = {
    "a line too many": lambda line: line + b"\nm value=1 1",
    "two in one": lambda line: line.replace(b" ", b" x=1 1\nm ", 1),
    "no line": lambda line: line + b",",
    "another value": lambda line: line.replace(b"value=1.5", b"value=2.5"),
    "another text": lambda line: line.replace(b"hello", b"hallo"),
    "another measurement": lambda line: b"x" + line,
    "another field": lambda line: line.replace(b"value=", b"valve="),
    "a tag": lambda line: line.replace(b" ", b",t=1 ", 1),
}


@pytest.mark.parametrize("how", BAD_LINES)
def test_the_judge_can_fail(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that lets a text break out, or changes a value, is found out by one row."""
    row = b'{"timestamp": "2026-01-01T00:00:00Z", "value": 1.5, "note": "hello"}'
    Judge("channel", Counts()).page([row])
    encode = Encoder.encode

    def badly(self: Encoder, page: Page) -> Batch:
        batch = encode(self, page)
        return Batch(1, [BAD_LINES[how](line) for line in batch.lines], batch.rejections, keys=batch.keys)

    monkeypatch.setattr(Encoder, "encode", badly)
    with pytest.raises(Broken):
        Judge("channel", Counts()).page([row])


def refusal_of(file: Path | None, environ: dict[str, str]) -> str:
    """What the loader says against it; empty: it is loaded."""
    try:
        load(file=file, environ=environ, flags={})
    except ConfigError as refusal:
        return str(refusal)
    return ""


sections = st.dictionaries(
    st.sampled_from(["postgres", "grafana", "service", "http", "other"]),
    st.dictionaries(
        st.sampled_from(
            ["dsn", "url", "token", "token_file", "listen", "log_level", "heartbeat_s", "x", TOKEN[:4]]
        ),
        st.one_of(scalars, st.just(TOKEN)),
    ),
)


def toml_of(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml_of, value))}]"
    if isinstance(value, int | float):
        return str(value)
    return '"' + "".join(f"\\U{ord(sign):08x}" for sign in value) + '"'


@given(st.one_of(st.binary(max_size=200), sections.map(lambda found: "\n".join(
    f"[{name}]\n" + "\n".join(f"{key} = {toml_of(value)}" for key, value in section.items())
    for name, section in found.items()
).encode("utf-8", "replace"))))  # fmt: skip
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_configuration_files(tmp_path: Path, content: bytes) -> None:
    """Whatever a file holds, it is loaded or refused in sentences that repeat none of its values."""
    file = tmp_path / "bridge.toml"
    file.write_bytes(content + b'\n[grafana]\npassword = "' + TOKEN.encode() + b'"\n')
    assert TOKEN not in refusal_of(file, {})


VARIABLES = [
    f"TRIO_BRIDGE_{name}"
    for name in (
        "POSTGRES_DSN", "POSTGRES_PASSWORD", "GRAFANA_URL", "GRAFANA_TOKEN", "GRAFANA_USERNAME", "TAGS", "CHANNEL",
        "FIELDS", "MAX_AGE", "HTTP_LISTEN", "SERVICE_LOG_LEVEL", "POSTGRES_HEARTBEAT_S", "X", "TOKEN",
    )
]  # fmt: skip
with_secret = st.sampled_from(
    [
        TOKEN,
        f"postgresql://u:{TOKEN}@[h/d",
        f"http://a:{TOKEN}@h",
        f"{TOKEN}\n",
        f"a {TOKEN}",
        f"host={TOKEN} '",
    ]
)


@given(st.dictionaries(st.sampled_from(VARIABLES), st.one_of(text, with_secret), max_size=8))
@settings(max_examples=100)
def test_environments(environ: dict[str, str]) -> None:
    """Whatever the variables hold, the settings are loaded or refused in sentences that repeat no secret."""
    assert TOKEN not in refusal_of(None, environ)
