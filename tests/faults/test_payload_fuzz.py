"""Payloads that a stranger may send on a NOTIFY channel, and fields that change their mind."""

from __future__ import annotations

import json
import random

import pytest

from tests.faults.rows import Rows, rows_of
from tests.pg import Database

GOOD = '{{"timestamp": "2026-01-01T00:00:00Z", "id": {}, "value": 1}}'


def notify(rows: Rows, *payloads: str) -> None:
    with rows.connect() as connection:
        for payload in payloads:
            connection.execute("SELECT pg_notify('feed', %s)", (payload,))


def nonsense(dice: random.Random) -> str:
    """A payload that was once a row: cut, doubled, mixed up, with members of any kind."""
    members = {
        "timestamp": dice.choice(
            ["2026-01-01T00:00:00Z", 1e18, -1, None, True, "soon", [], {}, "infinity", 2**70]
        ),
        "id": dice.choice([1, "1", None, True, [1], {"a": 1}, 1e308, 10**40, -0.0, "NaN"]),
        "value": dice.choice([1, 0.5, "x", None, False, [], {}, "Infinity", '"', "\\"]),
        dice.choice(["", "value", 'a"b', "é", "x" * 1000]): dice.choice([1, "y", None]),
    }
    for name in list(members):
        if dice.random() < 0.2:
            del members[name]
    text = json.dumps(members, ensure_ascii=dice.random() < 0.5)
    act = dice.randrange(6)
    if act == 0:
        return text[: dice.randrange(len(text))]
    if act == 1:
        at = dice.randrange(len(text))
        return text[:at] + dice.choice('{}[]",:\\\n0eé💥') + text[at:]
    if act == 2:
        return text + dice.choice([text, "}", " ", "\n", ","])
    if act == 3:
        return text.replace("{", '{"id": 7, "id": 8, ', 1)
    return text


@pytest.mark.fault(83, 84)
async def test_no_payload_stops_the_next(database: Database) -> None:
    """Whatever a payload is, it is a row or a rejection with a reason; the good one behind it always arrives."""
    dice = random.Random(83)
    known = [
        "", "null", "[]", "[1, 2]", "1", '"text"', "{", "}", '{"value": 1', '{"value": }', "{}", "NaN", "\ufeff{}",
        "[" * 7900, '{"a":' * 1500, '{"%s": 1}' % ("k" * 7900), '{"value": 1, "value": "x"}',
        '{"timestamp": "2026-01-01T00:00:00Z"}', '{"timestamp": 1767225600, "id": 1, "value": 1e400}',
        '{"timestamp": 1767225600, "id": 1, "value": %s}' % ("9" * 401),
    ]  # fmt: skip
    payloads = known + [nonsense(dice) for _ in range(600)]
    async with rows_of(database, "", table=None, channel="feed", fields=("id", "value")) as rows:
        for start in range(0, len(payloads), 50):
            part = payloads[start : start + 50]
            # Each is told from all others: a channel hands equal payloads on once, in one transaction.
            notify(
                rows,
                *(line for n, text in enumerate(part) for line in (text, GOOD.format(10_000 + start + n))),
            )
        books = await rows.settled(2 * len(payloads))
        arrived = [int(point.fields["id"]) for point in rows.points if point.fields["id"] != "NaN"]
        assert [key for key in arrived if 10_000 <= key < 11_000] == [
            10_000 + n for n in range(len(payloads))
        ]
        assert {
            "not_json",
            "wrong_type",
            "time_missing",
            "out_of_range",
            "no_fields",
        } <= books.rejected.keys()


@pytest.mark.fault(92)
async def test_a_field_that_changes_its_type(database: Database) -> None:
    """Number, text, truth, null, list: a number field stays one; what is none is refused; the schema stays."""
    values = ["1", '"two"', "true", "null", "[3]", '{"four": 4}', "5", '"6"', "false", "7.5"]
    async with rows_of(database, "", table=None, channel="feed", fields=("id", "value")) as rows:
        notify(
            rows,
            *(
                f'{{"timestamp": "2026-01-01T00:00:00Z", "id": {key}, "value": {value}}}'
                for key, value in enumerate(values)
            ),
        )
        books = await rows.settled(len(values))
        assert [(int(point.fields["id"]), point.fields["value"]) for point in rows.points] == [
            (0, 1), (2, 1), (3, "NaN"), (6, 5), (8, 0), (9, 7.5),
        ]  # fmt: skip
        assert books.rejected == {"wrong_type": 4}
