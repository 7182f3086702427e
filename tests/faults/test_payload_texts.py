"""Texts that could end a line, a word or a message: in every place, from real SQL, they stay where they are."""

from __future__ import annotations

import pytest
from psycopg import sql

from tests.faults.rows import rows_of
from tests.pg import Database
from trio_bridge.live.channels import is_subscribable

TABLE = """
CREATE TABLE m (
    id int PRIMARY KEY, "timestamp" timestamptz DEFAULT now(), t text, j json, tag text
)
"""

NASTY = [
    "a\nm v=1 1", "a\r\nb", "a\tb", "a\vb", "a\x85b", "a\u2028b", "a\u202eb", "\ufeffa", "a\uffffb", "\U0010ffff",
    "\U0001f469\u200d\U0001f467", "a\x7fb", "a\x01b", '"', "\\", 'a\\"\\', "\\\\", 'm,t="x" v=1i 5', ", =", "   ",
    "é" * 25_000,
]  # fmt: skip
# What Grafana's parser refuses in a text, and what goes in its place.
REPLACED = {"lone CR": ("a\rb", "a\ufffdb"), "form feed": ("a\fb", "a\ufffdb"), "just NaN": ("NaN", "NaN ")}


@pytest.mark.fault(87, 77)
async def test_no_text_becomes_a_line(database: Database) -> None:
    """Line ends, control characters, emoji, 50 kB: as many points as rows, each with its text."""
    texts = {text: text for text in NASTY} | dict(REPLACED.values())
    async with rows_of(database, TABLE, fields=("id", "t")) as rows:
        for key, text in enumerate(texts):
            rows.execute("INSERT INTO m (id, t) VALUES (%s, %s)", key, text)
        rows.execute("INSERT INTO m (id, t) VALUES (1000, repeat('x', 64 * 1024))")
        books = await rows.settled(len(texts) + 1)
        found = rows.by_id
        assert [found[key].fields["t"] for key in range(len(texts))] == list(texts.values())
        assert books.rejected == {"too_large": 1}
        assert books.nulled == {"control_character": 2}


@pytest.mark.fault(87)
async def test_escapes_that_are_no_characters(database: Database) -> None:
    """NUL and halves of surrogate pairs, which the type json lets through, arrive as text that is valid UTF-8."""
    values = {
        r'"\u0000"': "\0", r'["\u0000"]': r'["\u0000"]', r'"a\ud800b"': "a\ufffdb", r'"\udfff\ud800"': "\ufffd\ufffd",
        r'["\udc00"]': r'["\ufffd"]', r'"\ud83d\ude00"': "\U0001f600", r'"\\ud800"': r"\ud800",
    }  # fmt: skip
    async with rows_of(database, TABLE, fields=("id", "j")) as rows:
        for key, value in enumerate(values):
            rows.execute("INSERT INTO m (id, j) VALUES (%s, %s::json)", key, value)
        books = await rows.settled(len(values))
        found = rows.by_id
        assert [found[key].fields["j"] for key in range(len(values))] == list(values.values())
        assert books.nulled == {"not_unicode": 3}


@pytest.mark.fault(88)
async def test_characters_that_mean_something_mean_nothing(database: Database) -> None:
    """Backslash, quote, comma, equals and space in names and values, first, last and alone: all parse to themselves."""
    marks = ["\\", '"', ",", "=", " ", "#"]
    words = [form.format(mark) for mark in marks for form in ("{}", "{}a", "a{}b", "a{}", "a{0}{0}b")]
    async with rows_of(database, TABLE, fields=("id", "t"), tags=("tag",)) as rows:
        for key, word in enumerate(words):
            rows.execute("INSERT INTO m (id, t, tag) VALUES (%s, %s, %s)", key, word, word)
        books = await rows.settled(len(words))
        found = rows.by_id
        for key, word in enumerate(words):
            assert found[key].fields["t"] == word
            # A backslash that would escape what follows, or the end, cannot be written in a tag.
            tag = dict(found[key].tags)["tag"]
            assert tag == word or ("\\" in word and tag.replace("\ufffd", "\\") == word)
        assert books.rejected == {}


@pytest.mark.fault(88)
async def test_a_table_whose_names_are_full_of_them(database: Database) -> None:
    """A table and columns named with quotes, commas, equals, spaces, backslashes: all can be seen."""
    table, columns = 'a "b",c=d\\ e', ['x "y"', "p,q", "r=s", "t\\u", "v w", "ü"]
    ddl = sql.SQL('CREATE TABLE {} (id int PRIMARY KEY, "timestamp" timestamptz DEFAULT now(), {})').format(
        sql.Identifier(table), sql.SQL(", ").join(sql.Identifier(name) + sql.SQL(" int") for name in columns)
    )
    with database.connect() as connection:
        text = ddl.as_string(connection)
        insert = sql.SQL("INSERT INTO {} VALUES (1, now(), 0, 1, 2, 3, 4, 5)").format(sql.Identifier(table))
        name = sql.Identifier("public", table).as_string(connection)
    async with rows_of(database, text, table=name) as rows:
        rows.execute(insert)
        assert (await rows.settled(1)).rejected == {}
        (point,) = rows.points
        assert sorted(point.fields.values()) == [0, 1, 2, 3, 4, 5]
        assert all(is_subscribable(channel["channel"]) for channel in rows.live.channels.listed())
