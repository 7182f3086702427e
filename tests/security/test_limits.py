"""How large, deep, wide or many a thing may be: each bound holds, and what is beyond it is counted by its reason."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest

from tests.faults.rows import rows_of
from tests.pg import Database
from tests.security.fuzz import REASONS
from trio_bridge.config.settings import RouteSettings
from trio_bridge.decoder.encoder import Encoder
from trio_bridge.decoder.lines import MAX_LINE_BYTES
from trio_bridge.decoder.mapping import Column, Mapping, TableShape, map_channel, map_table
from trio_bridge.decoder.series import MAX_DEFAULTS_BYTES
from trio_bridge.listener.channel_source import MAX_HELD_BYTES
from trio_bridge.live.lines import parse
from trio_bridge.postgres.delta import MAX_ROW_BYTES
from trio_bridge.records import Batch, Page
from trio_bridge.web.app import MAX_EVENT_STREAMS
from trio_bridge.web.metrics import REJECTED
from trio_bridge.web.serve import MAX_CONNECTIONS

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
TIME = "2026-01-01T00:00:00Z"


def encoded(mapping: Mapping, *rows: dict[str, object] | None) -> Batch:
    texts = [None if row is None else json.dumps({"timestamp": TIME} | row).encode() for row in rows]
    return Encoder(mapping).encode(Page(1, texts, [str(number) for number in range(len(rows))], 0.0))


def reasons(batch: Batch) -> list[str]:
    return [rejection.reason for rejection in batch.rejections]


def channel(**route: object) -> Mapping:
    return map_channel(RouteSettings(name="m", channel="m", **route))  # type: ignore[arg-type]


def test_every_reason_has_its_counter() -> None:
    """What the fuzzing may meet is shown by /metrics from the start, under these names."""
    assert set(REJECTED) >= REASONS


def test_a_line_has_a_largest_size() -> None:
    """60 KiB go, a byte more is too_large, and so is a row that was too large to be fetched."""
    mapping = channel(fields=("note",), text_fields=("note",))
    (line,) = encoded(mapping, {"note": "x"}).lines
    room = MAX_LINE_BYTES - len(line) + 1
    assert len(encoded(mapping, {"note": "x" * room}).lines[0]) == MAX_LINE_BYTES
    assert reasons(encoded(mapping, {"note": "x" * (room + 1)}, None)) == ["too_large"] * 2


def test_json_has_a_greatest_depth() -> None:
    """A hundred levels are a text; a hundred thousand are too_deep or not_json, at once, and the next row goes on."""
    mapping = map_table(
        RouteSettings(name="m", table="m"),
        TableShape(
            "m", (Column("timestamp", "timestamptz"), Column("j", "jsonb"), Column("id", "int4")), ("id",)
        ),
    )

    def nested(levels: int) -> bytes:
        return b'{"timestamp": "2026-01-01T00:00:00+00:00", "j": ' + b"[" * levels + b"]" * levels + b"}"

    batch = Encoder(mapping).encode(Page(1, [nested(100), nested(45_000), nested(100)], ["a", "b", "c"], 0.0))
    assert len(batch.lines) == 2
    assert reasons(batch) == ["too_deep"]


def test_a_payload_adds_no_field_and_no_measurement() -> None:
    """Thousands of unknown keys change nothing; the measurement is the route's, whatever a row says."""
    many: dict[str, object] = {f"key{number}": number for number in range(5_000)}
    batch = encoded(channel(), {"value": 1, "measurement": "other", "m": 2, **many})
    ((point,), reason) = [parse(line, lambda: 0) for line in batch.lines], reasons(batch)
    assert (point[0].measurement, point[0].fields, reason) == ("m", {"value": 1.0}, [])


def test_series_have_a_greatest_number_and_a_size_of_their_names() -> None:
    """max_series, and 24 KiB for all names; further ones are too_many_series, known ones go on."""
    few = encoded(
        channel(series="s", max_series=3), *({"s": f"s{n}", "value": 1} for n in (0, 1, 2, 3, 4, 0))
    )
    assert (len(few.lines), reasons(few)) == (4, ["too_many_series"] * 2)
    long = encoded(
        channel(series="s", max_series=500), *({"s": f"{n:05}" * 200, "value": 1} for n in range(100))
    )
    assert len(long.defaults) <= MAX_DEFAULTS_BYTES
    assert set(reasons(long)) == {"too_many_series"}


def test_labels_cost_the_bridge_nothing() -> None:
    """Ten thousand values of a tag are as many lines; nothing of them is kept, and there is no history to keep."""
    route = RouteSettings(name="m", channel="m", tags=("host",), history_rows=1_000)
    batch = encoded(map_channel(route), *({"host": f"h{number}", "value": 1} for number in range(10_000)))
    assert (len(batch.lines), batch.defaults, route.window_rows) == (10_000, b"", 0)


async def test_postgres_bounds_a_payload(database: Database) -> None:
    """7,999 bytes are notified and arrive; 8,000 fail whoever sends them, and the bridge sees nothing."""
    start = f'{{"timestamp": "{TIME}", "value": 1, "x": "'
    longest = start + "x" * (7_999 - len(start) - 2) + '"}'
    async with rows_of(database, "", table=None, channel="feed") as rows:
        rows.execute("SELECT pg_notify('feed', %s)", longest)
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="payload string too long"):
            rows.execute("SELECT pg_notify('feed', %s)", longest + " ")
        assert (await rows.settled(1)).acknowledged == 1


def test_the_handbook_has_the_bounds() -> None:
    """The figures in docs/security.md are those of the program."""
    (table,) = re.findall(r"^\| bound \|.*?(?:\n\|.*)+", PAGE.read_text("utf-8"), re.MULTILINE)
    for figure in (
        f"{MAX_LINE_BYTES // 1024} KiB", f"{MAX_ROW_BYTES // 1024} KiB", f"{MAX_DEFAULTS_BYTES // 1024} KiB",
        f"{MAX_HELD_BYTES >> 20} MiB", f"{MAX_CONNECTIONS} connections", f"{MAX_EVENT_STREAMS} pages", "8,000 bytes",
    ):  # fmt: skip
        assert figure in table, figure
    for reason in ("too_large", "too_deep", "too_many_series", "stale"):
        assert f"`{reason}`" in table
