"""The SQL panel: its query, with Grafana's macros replaced as Grafana does, run by a real Postgres."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.grafana.routes import mapped
from tests.pg import Database
from trio_bridge.config.names import TableName
from trio_bridge.decoder.mapping import Mapping
from trio_bridge.grafana.history_panel import history_panel, history_sql

TABLE = TableName("public", "t")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
FROM, TO = NOON - timedelta(minutes=5), NOON

# Grafana, pkg/tsdb/grafana-postgresql-datasource/macros.go: a name, and all up to the next parenthesis.
MACRO = re.compile(r"\$__(\w+)\(([^)]*)\)")


def expanded(query: str, interval_s: float = 10) -> str:
    """What Grafana sends to Postgres for the five minutes before noon."""

    def macro(found: re.Match[str]) -> str:
        arguments = [argument.strip() for argument in found[2].split(",")]
        match found[1]:
            case "timeFrom":
                return f"'{FROM:%Y-%m-%dT%H:%M:%SZ}'"
            case "timeTo":
                return f"'{TO:%Y-%m-%dT%H:%M:%SZ}'"
            case "unixEpochFrom":
                return str(int(FROM.timestamp()))
            case "unixEpochTo":
                return str(int(TO.timestamp()))
            case "timeGroupAlias":
                assert arguments[1] == "'$__interval'"
                return f'floor(extract(epoch from {arguments[0]})/{interval_s})*{interval_s} AS "time"'
        raise AssertionError(found[0])

    return MACRO.sub(macro, query)


def asked(database: Database, mapping: Mapping) -> list[tuple[Any, ...]]:
    return database.execute(expanded(history_sql(mapping, TABLE)))


@pytest.mark.parametrize(
    ("time", "unit", "of_noon"),
    [
        ("timestamptz", "s", "timestamptz '2024-05-01 12:00Z'"),
        ("timestamp", "s", "timestamp '2024-05-01 12:00'"),
        ("int8", "s", "1714564800"),
        ("int4", "s", "1714564800"),
        ("float8", "s", "1714564800.0"),
        ("int8", "ms", "1714564800000"),
        ("int8", "us", "1714564800000000"),
        ("int8", "ns", "1714564800000000000"),
        ("numeric", "ns", "1714564800000000000"),
    ],
)
def test_every_kind_of_time_has_its_range(database: Database, time: str, unit: str, of_noon: str) -> None:
    """Rows in the dashboard's range are shown at their time, rows outside are not, whatever counts the time."""
    second = {"s": "1", "ms": "1000", "us": "1000000", "ns": "1000000000"}[unit]
    step = "interval '1 second'" if time.startswith("timestamp") else f"{second}::int8"
    database.execute(f'CREATE TABLE t ("timestamp" {time}, value float8)')
    for seconds in (-301, -15, -12, 1):
        database.execute(f"INSERT INTO t SELECT {of_noon} + {seconds} * {step}, {seconds}")
    mapping = mapped(("value", "float8"), time=time, time_unit=unit)
    (shown,) = asked(database, mapping)
    assert (float(shown[0]), shown[1]) == (NOON.timestamp() - 20, -13.5)


def test_a_date_is_a_time(database: Database) -> None:
    """A column of dates is bounded by days."""
    database.execute('CREATE TABLE t ("timestamp" date, value float8)')
    assert asked(database, mapped(("value", "float8"), time="date")) == []


def test_each_series_has_its_own_mean(database: Database) -> None:
    """The series' column names the curves, whatever its type."""
    database.execute('CREATE TABLE t ("timestamp" timestamptz, value float8, room int)')
    for room, value in ((1, 10), (1, 20), (2, 5)):
        database.execute("INSERT INTO t VALUES (%s, %s, %s)", NOON - timedelta(seconds=5), value, room)
    mapping = mapped(("value", "float8"), ("room", "int4"), series="room")
    assert sorted(row[1:] for row in asked(database, mapping)) == [("1", 15.0), ("2", 5.0)]
    assert history_panel("p", mapping, TABLE)["fieldConfig"]["defaults"]["custom"]["spanNulls"] is True


def test_awkward_names_and_kinds(database: Database) -> None:
    """Names that would end a macro or a quotation stand outside of them; booleans are 1 and 0, texts left out."""
    awkward = 'a)b,"c'
    database.execute(
        'CREATE TABLE t ("timestamp" timestamptz, "a)b,""c" int, "on" boolean, note text, host text)'
    )
    for number, on in ((1, True), (3, False)):
        database.execute(
            "INSERT INTO t VALUES (%s, %s, %s, 'x', 'h')", NOON - timedelta(seconds=5), number, on
        )
    mapping = mapped((awkward, "int4"), ("on", "bool"), ("note", "text"), ("host", "text"), tags=("host",))
    (shown,) = asked(database, mapping)
    assert (shown[1], float(shown[2]), shown[3]) == ("h", 2.0, 1)


def test_the_panel_asks_the_source_of_the_fixed_name() -> None:
    """The data source is named by type and uid, the query is a time series, and gaps stay gaps."""
    panel = history_panel("p", mapped(("value", "float8")), TABLE)
    source = {"type": "grafana-postgresql-datasource", "uid": "trio-bridge-postgres"}
    (target,) = panel["targets"]
    assert (panel["datasource"], target["datasource"]) == (source, source)
    assert (target["rawQuery"], target["format"]) == (True, "time_series")
    assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False
