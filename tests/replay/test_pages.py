"""Pages of a time range on a real Postgres: every row once, in either order, over any key and type of time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.pg import Database
from tests.replay.world import TABLE, seconds, table
from trio_bridge.config.names import parse_table
from trio_bridge.config.settings import RouteSettings
from trio_bridge.decoder.mapping import map_table
from trio_bridge.errors import ConfigError
from trio_bridge.handover import Wake
from trio_bridge.postgres.catalogue import read_table
from trio_bridge.postgres.delta import MAX_ROW_BYTES
from trio_bridge.postgres.install import install
from trio_bridge.postgres.session import Session
from trio_bridge.replay.pages import PageReader, Place, Span


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """A connection as the replay's."""
    wake = Wake()
    opened = Session.connect(
        f"{database.dsn} options='-c timezone=UTC -c extra_float_digits=1 -c enable_seqscan=off'",
        wake,
        timeout_s=10,
    )
    yield opened
    opened.close()
    wake.close()


def reader(
    session: Session, span: Span, name: str = TABLE, *, most_rows: int = 7, **settings: Any
) -> PageReader:
    watched = read_table(session, parse_table(name), timeout_s=5)
    mapping = map_table(RouteSettings(name="r", table=name, **settings), watched.shape)
    return PageReader(session, parse_table(name), watched, mapping, span, most_rows=most_rows, timeout_s=5)


def read_all(pages: PageReader, after: Place | None = None) -> list[list[dict[str, object]]]:
    found = []
    while True:
        page = pages.read(after)
        found.append([json.loads(row) for row in page.rows if row is not None])
        assert len(page.keys) == len(page.rows)
        if not page.more:
            return found
        after = page.place


def all_values(pages: PageReader, after: Place | None = None) -> list[object]:
    return [row["value"] for page in read_all(pages, after) for row in page]


@pytest.mark.parametrize("indexed", [True, False])
def test_every_row_of_the_range_comes_once(database: Database, session: Session, indexed: bool) -> None:
    """By time where an index gives that order, else by key; the first instant is in, the last is out."""
    table(database, 40, indexed=indexed)
    pages = reader(session, seconds(5, 35))
    assert pages.by_time is indexed
    assert pages.count(None, timeout_s=5) == 30
    assert all_values(pages) == (list(range(5, 35)) if indexed else list(range(34, 4, -1)))


def test_rows_of_one_instant_are_told_apart_by_their_key(database: Database, session: Session) -> None:
    """A page may end between rows of the same time."""
    table(database, 1)
    database.execute(
        f"INSERT INTO {TABLE} (\"timestamp\", value) SELECT timestamptz '2026-01-01', g FROM generate_series(1, 30) g"
    )
    assert all_values(reader(session, seconds(0, 1))) == list(range(31))


@pytest.mark.parametrize("indexed", [True, False])
def test_it_goes_on_behind_a_place_in_the_order_it_was_begun(
    database: Database, session: Session, indexed: bool
) -> None:
    """Also if the index that gave the order has gone, or come, meanwhile."""
    table(database, 20, indexed=indexed)
    page = reader(session, seconds(0, 20), most_rows=8).read(None)
    assert page.place is not None
    if indexed:
        database.execute("DROP INDEX live_metrics_timestamp_idx")
    else:
        database.execute(f'CREATE INDEX ON {TABLE} ("timestamp")')
    again = Wake()
    other = Session.connect(database.dsn, again, timeout_s=10)
    try:
        pages = reader(other, seconds(0, 20, page.place))
        assert pages.count(page.place, timeout_s=5) == 12
        assert all_values(pages, page.place) == (list(range(8, 20)) if indexed else list(range(11, -1, -1)))
    finally:
        other.close()
        again.close()


def test_a_place_of_another_table_is_refused(database: Database, session: Session) -> None:
    """A key of one column has places of one or two parts."""
    table(database, 1)
    with pytest.raises(ConfigError, match="has 3 parts, and the primary key of this table has 1 columns"):
        reader(session, seconds(0, 1, ("a", "b", "c")))


@pytest.mark.parametrize(
    ("kind", "stored", "settings"),
    [
        ("timestamp", "timestamp '2026-01-01' + make_interval(secs => g)", {}),
        ("date", "date '2026-01-01' + g", {}),
        ("int4", "extract(epoch FROM timestamptz '2026-01-01')::int + g", {}),
        ("int8", "(extract(epoch FROM timestamptz '2026-01-01')::int8 + g) * 1000", {"time_unit": "ms"}),
        ("float8", "extract(epoch FROM timestamptz '2026-01-01')::float8 + g + 0.1", {}),
        ("numeric", "(extract(epoch FROM timestamptz '2026-01-01') + g) * 1000000", {"time_unit": "us"}),
    ],
)
def test_any_type_of_time_and_any_key(
    database: Database, session: Session, kind: str, stored: str, settings: dict[str, Any]
) -> None:
    """Whatever the time is, the range means the same, an index is used, and pages of a composite key do not overlap."""
    name = 'public."Tä ble"'
    database.execute(f"CREATE TABLE {name} (a text, b int, at {kind}, value int, PRIMARY KEY (a, b))")
    install(database.dsn, parse_table(name), routes=["r"])
    database.execute(
        f"INSERT INTO {name} SELECT 'a, \"' || g % 3, g, {stored}, g FROM generate_series(0, 30) g"
    )
    database.execute(f"INSERT INTO {name} VALUES ('none', 0, NULL, 99)")
    database.execute(f"CREATE INDEX ON {name} (at)")
    step = 86_400 if kind == "date" else 1
    pages = reader(session, seconds(5 * step, 25 * step), name, time="at", **settings)
    assert pages.by_time
    assert all_values(pages) == list(range(5, 25))


def test_wide_rows_make_small_pages(database: Database, session: Session) -> None:
    """A page ends at a megabyte, and a row that no line could hold comes without its text."""
    table(database, 0)
    database.execute(f"ALTER TABLE {TABLE} ADD note text")
    database.execute(
        f"""INSERT INTO {TABLE} ("timestamp", value, note)
        SELECT timestamptz '2026-01-01', g, repeat('x', CASE g WHEN 60 THEN {MAX_ROW_BYTES} ELSE 50000 END)
        FROM generate_series(1, 60) g"""
    )
    pages = read_all(reader(session, seconds(0, 1), most_rows=2_000))
    assert [row["value"] for page in pages for row in page] == list(range(1, 60))
    assert max(map(len, pages)) <= 22
