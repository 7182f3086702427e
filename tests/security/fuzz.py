r"""``python -m tests.security.fuzz --inputs 1000000``: rows of any bytes through the encoder, judged from outside.

Inputs are made by grammar, by mutation of good rows, and of raw bytes, for mappings of every kind (table, channel,
tags, series). Each page goes through the product's `Encoder`. Then an independent reader of line protocol, which shares
no code with it (`trio_bridge.live.lines`, held against a real Grafana), reads what came out, and an independent reader
of JSON (the standard library's) says what each row held. What must hold for every page:

    no exception                      whatever the bytes
    points = lines = rows - rejected  n rows are never more than n points: no text becomes a line of its own
    one measurement, known fields     the series' own fields apart, nothing of a row becomes a name
    equal values                      a number that JSON reads is the number of the point, a text its text
    a reason for each rejection       one of those that are known

Ends with the counts; exit code 1 if something did not hold, with the seed and the page that did it.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import click

from trio_bridge.config.settings import RouteSettings
from trio_bridge.decoder.encoder import Encoder
from trio_bridge.decoder.mapping import Column, Mapping, TableShape, map_channel, map_table
from trio_bridge.live.lines import BadLine, Point, parse
from trio_bridge.records import Page

SHAPE: Final = TableShape(
    "m",
    (
        Column("id", "int8"), Column("timestamp", "timestamptz"), Column("value", "float8"), Column("ok", "bool"),
        Column("note", "text"), Column("extra", "jsonb"), Column("a b,c=d", "text"), Column("sensor", "text"),
    ),
    ("id",),
)  # fmt: skip
COLUMNS: Final = tuple(column.name for column in SHAPE.columns)
MAPPINGS: Final[dict[str, Mapping]] = {
    "table": map_table(RouteSettings(name="r", table="m"), SHAPE),
    "table with tags": map_table(RouteSettings(name="r", table="m", tags=("sensor", "note")), SHAPE),
    "table of series": map_table(RouteSettings(name="r", table="m", fields=("value", "note"), series="sensor"), SHAPE),
    "channel": map_channel(RouteSettings(name="m", channel="m", fields=("value", "note"), text_fields=("note",))),
    "channel of series": map_channel(RouteSettings(name="m", channel="m", series="sensor", time_unit="ms")),
    "channel with tags": map_channel(RouteSettings(name="m", channel="m", tags=("sensor",))),
}  # fmt: skip
REASONS: Final = frozenset(
    {
        "not_json", "too_deep", "too_large", "wrong_type", "out_of_range", "time_missing", "time_infinite",
        "time_invalid", "time_out_of_range", "no_fields", "series_missing", "too_many_series",
    }
)  # fmt: skip
PAGE_ROWS: Final = 25

_NASTY: Final = [
    "", " ", "\n", "\r", "\r\n", "\t", "\x00", "\x0b", "\x0c", "\x7f", "\x85", "\u2028", "\ufeff", "\ufffd",
    "\U0001f389", ",", "=", '"', "\\", '\\"', "\\\\", "#", "m v=1 1", "a\nm v=2 2\nb", '",x="', 'x" 1\nm y="', "NaN",
    "NaN ", "Infinity", "null", "true", "1i", "1u", "é" * 40, "\ud800", "_0", "time", "labels", "value",
]  # fmt: skip
_TIMES: Final = [
    "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00.123456+02:00", "1677-09-21T00:12:43Z", "2262-04-11T23:47:16Z",
    "infinity", "-infinity", "0044-03-15T00:00:00+00:00 BC", "294276-12-31T23:59:59+00:00", "soon", "", 1767225600,
    1767225600.5, -1, 1e300, 10**30, None, True, [], "2026-02-30", "12:00",
]  # fmt: skip
_NUMBERS: Final = [
    "0", "-0.0", "1e308", "1e309", "-1e400", "9" * 25, "9" * 400, "1.0000000000000000000000001", "5e-324",
    "9007199254740993", "01", "+1", "1.", ".5", "1e", "0x1", "1_0", "NaN", "-",
]  # fmt: skip
_BYTES: Final = [
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\\u0000", b"\\ud800", b"\xff", b"\xc3", b"\n", b"\x00",
    b"[" * 300, b'{"a":' * 300, b" ", b"1e999999", b"null",
]  # fmt: skip


class Broken(AssertionError):
    """A promise that did not hold for a page."""


@dataclass(slots=True)
class Counts:
    """What has been tried and what came of it."""

    inputs: int = 0
    points: int = 0
    values: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    per_mapping: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        reasons = ", ".join(f"{name} {times:,}" for name, times in sorted(self.rejected.items()))
        return (
            f"inputs {self.inputs:,}: points {self.points:,}, rejected {self.rejected.total():,}, crashes 0, "
            f"injected lines 0, values compared {self.values:,}\n  rejected: {reasons}\n  inputs of each mapping: "
            + ", ".join(f"{name} {times:,}" for name, times in self.per_mapping.items())
        )


class Judge:
    """Encodes pages of one mapping and holds what comes out against what went in."""

    def __init__(self, name: str, counts: Counts) -> None:
        self._name = name
        self._counts = counts
        self._mapping = MAPPINGS[name]
        self._encoder = Encoder(self._mapping)
        self._numbers = {f.column: f.name for f in self._mapping.fields if f.kind == "number"}
        self._texts = {f.column: f.name for f in self._mapping.fields if f.kind == "text"}

    def page(self, rows: list[bytes]) -> None:
        """Raises `Broken` if a promise does not hold."""
        keys = [str(number) for number in range(len(rows))]
        batch = self._encoder.encode(Page(1, rows, keys, 0.0))
        lines = list(batch.lines)
        points: list[Point] = []
        for line in lines:
            try:
                points += parse(line, lambda: 0)
            except BadLine as error:
                raise Broken(f"a line that does not parse: {line!r}: {error}") from None
        whole = parse(b"\n".join(lines), lambda: 0)
        refused = {rejection.key for rejection in batch.rejections}
        if not len(points) == len(whole) == len(lines) == len(rows) - len(refused):
            raise Broken(
                f"{len(rows)} rows, {len(refused)} refused, {len(points)} points, {len(whole)} in a message"
            )
        if unknown := {rejection.reason for rejection in batch.rejections} - REASONS:
            raise Broken(f"unknown reasons {unknown}")
        by_key = {key: row for key, row in zip(keys, rows, strict=True) if key not in refused}
        for key, point in zip(batch.keys, points, strict=True):
            self._compare(by_key.pop(key), point)
        if by_key:
            raise Broken(f"rows that are neither a line nor refused: {sorted(by_key)}")
        counts = self._counts
        counts.inputs += len(rows)
        counts.points += len(points)
        counts.per_mapping[self._name] += len(rows)
        counts.rejected.update(rejection.reason for rejection in batch.rejections)

    def _compare(self, row: bytes, point: Point) -> None:
        mapping = self._mapping
        if point.measurement != mapping.measurement:
            raise Broken(f"measurement {point.measurement!r}")
        if not point.tags.keys() <= {tag.name for tag in mapping.tags}:
            raise Broken(f"tags {point.tags}")
        if mapping.series is not None:
            if len(point.fields) != len(mapping.fields):
                raise Broken(f"fields {point.fields}")
            return
        if list(point.fields) != [f.name for f in mapping.fields]:
            raise Broken(f"fields {point.fields}")
        held = _as_json(row)
        if held is None:
            return
        for column, name in self._numbers.items():
            value = held.get(column)
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                self._counts.values += 1
                if point.fields[name] != float(value):
                    raise Broken(f"{column}: {value!r} became {point.fields[name]!r}")
        for column, name in self._texts.items():
            value = held.get(column)
            if isinstance(value, str) and value.isprintable() and value != "NaN":
                self._counts.values += 1
                if point.fields[name] != value:
                    raise Broken(f"{column}: {value!r} became {point.fields[name]!r}")


def _as_json(row: bytes) -> dict[str, Any] | None:
    """What the standard library reads; None: it does not, or the row is not all Unicode."""
    try:
        held = json.loads(row)
        text = json.dumps(held, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, dict) else None


def make_row(dice: random.Random) -> bytes:
    """One input."""
    kind = dice.random()
    if kind < 0.05:
        return dice.randbytes(dice.randrange(60))
    members = {name: _value(dice, name) for name in COLUMNS if dice.random() < 0.93}
    if dice.random() < 0.1:
        members[dice.choice(_NASTY)] = json.dumps(_text(dice))
    row = "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in members.items()) + "}"
    data = row.encode("utf-8", "surrogatepass")
    if kind < 0.3:
        for _ in range(dice.randrange(1, 4)):
            data = _mutated(dice, data)
    return data


def _value(dice: random.Random, name: str) -> str:
    if dice.random() < 0.03:
        return dice.choice(
            [*_NUMBERS, "null", "[]", "{}", "true", json.dumps(dice.choice(_NASTY)), '[{"a": ["x"]}]']
        )
    if name == "timestamp":
        if dice.random() < 0.7:
            return dice.choice(['"2026-01-01T00:00:00+00:00"', str(1767225600 + dice.randrange(10**6))])
        return json.dumps(dice.choice(_TIMES))
    if name in ("id", "value"):
        return repr(
            dice.choice([dice.randrange(-(2**63), 2**63), dice.uniform(-1e6, 1e6), dice.gauss(0, 1e300)])
        )
    if name == "ok":
        return dice.choice(["true", "false", "null"])
    if name == "sensor":
        return (
            json.dumps(dice.choice(["a", "b", *_NASTY[:40]]))
            if dice.random() < 0.9
            else json.dumps(_text(dice))
        )
    return json.dumps(_text(dice), ensure_ascii=dice.random() < 0.5)


def _text(dice: random.Random) -> str:
    return "".join(dice.choice(_NASTY) for _ in range(dice.randrange(5)))


def _mutated(dice: random.Random, data: bytes) -> bytes:
    at = dice.randrange(len(data) + 1)
    match dice.randrange(5):
        case 0:
            return data[:at] + dice.choice(_BYTES) + data[at:]
        case 1:
            return data[:at] + data[at + dice.randrange(1, 5) :]
        case 2:
            return data[:at]
        case 3:
            return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
        case _:
            return data + dice.choice([data, b"\n" + data, b" ", b"}"])


def run(inputs: int, seed: int, *, tell: Callable[[str], None] = lambda _: None) -> Counts:
    """Tries so many inputs, in turn for every mapping, with new encoders now and then.

    Raises:
        Broken: with the mapping and the page.
    """
    counts = Counts()
    dice = random.Random(seed)
    began = time.monotonic()
    told = 0
    while counts.inputs < inputs:
        for name in MAPPINGS:
            judge = Judge(name, counts)
            for _ in range(20):
                rows = [make_row(dice) for _ in range(PAGE_ROWS)]
                try:
                    judge.page(rows)
                # Whatever it is, the input that did it must be known.
                except Exception as error:
                    raise Broken(f"seed {seed}, mapping {name}: {error!r}\n{rows!r}") from error
        if counts.inputs // 100_000 > told:
            told = counts.inputs // 100_000
            tell(f"{counts.inputs:,} inputs in {time.monotonic() - began:.0f} s")
    return counts


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    try:
        counts = run(options.inputs, options.seed, tell=click.echo)
    except Broken as broken:
        click.echo(broken)
        return 1
    click.echo(f"seed {options.seed}, {time.monotonic() - began:.0f} s\n{counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
