from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_bridge.config.names import TableName, parse_table
from trio_bridge.errors import ConfigError

# What Postgres can hold as a name: any characters but NUL, 1 to 63 bytes of UTF-8.
catalog_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: len(name.encode()) <= 63
)


@given(catalog_names, catalog_names)
def test_every_table_can_be_named(schema, name):
    """Whatever the catalog holds, its SQL spelling is read as the same table."""
    table = TableName(schema, name)
    assert parse_table(str(table)) == table


@pytest.mark.parametrize(
    ("written", "schema", "name"),
    [
        ("live_metrics", "public", "live_metrics"),
        ("Metrics.Live", "metrics", "live"),
        ('"Metrics".Live', "Metrics", "live"),
        ('"My schema"."Tä ble"', "My schema", "Tä ble"),
        ('"a""b"', "public", 'a"b'),
        ('"a.b"', "public", "a.b"),
        (" a . b ", "a", "b"),
        ("größe.T1$", "größe", "t1$"),
        ("ÄPFEL", "public", "Äpfel"),
    ],
)
def test_reads_names_as_postgres_does(written, schema, name):
    """Case folds outside quotes only, and only A-Z; quotes keep everything; a bare name is in public."""
    assert parse_table(written) == TableName(schema, name)


@pytest.mark.parametrize(
    "junk",
    [
        "",
        " ",
        ".",
        "a.",
        ".a",
        "a.b.c",
        "1a",
        "a b",
        '"',
        '""',
        '"a',
        'a"b"',
        "a;drop",
        "a-b",
        '"a\0b"',
        "a\udc80",
    ],
)
def test_refuses_what_is_no_name(junk):
    """Anything else is the operator's mistake, named in one line."""
    with pytest.raises(ConfigError, match="is not the name of a table") as caught:
        parse_table(junk)
    assert "\n" not in str(caught.value)


def test_refuses_a_name_that_postgres_would_cut():
    """63 bytes pass; one more, counted in UTF-8, is refused instead of cut."""
    assert parse_table("ä" * 31 + "x") == TableName("public", "ä" * 31 + "x")
    with pytest.raises(ConfigError, match="63 bytes"):
        parse_table("ä" * 32)


def test_quotes_only_where_need_be():
    """What people read is the spelling they would write."""
    assert str(TableName("public", "live_metrics")) == "public.live_metrics"
    assert str(TableName("My schema", 'a"b')) == '"My schema"."a""b"'
