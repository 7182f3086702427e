"""What a route and a table come to, and every sentence for an operator who named something that is not there."""

from typing import Any

import pytest

from trio_bridge.config.settings import RouteSettings
from trio_bridge.decoder.mapping import (
    Column,
    Field,
    Mapping,
    SeriesColumn,
    TableShape,
    Tag,
    map_channel,
    map_table,
)
from trio_bridge.errors import ConfigError

SHAPE = TableShape(
    "live_metrics",
    (
        Column("id", "int8"),
        Column("txid", "xid8"),
        Column("timestamp", "timestamptz"),
        Column("value", "float8"),
        Column("ok", "bool"),
        Column("sensor", "text"),
        Column("extra", "jsonb"),
        Column("samples", "_float8"),
        Column("price", "money"),
    ),
    ("id",),
)


def route(**settings) -> RouteSettings:
    return RouteSettings(name="r", **settings)


def mapped(**settings) -> Mapping:
    return map_table(route(table="public.live_metrics", **settings), SHAPE)


def test_by_default_all_but_key_time_txid_and_tags_are_fields() -> None:
    """A table needs no settings: its columns become fields of the kind of their types, in their order."""
    assert mapped(tags=("sensor",)) == Mapping(
        stream="pg",
        measurement="live_metrics",
        time="timestamp",
        time_kind="timestamptz",
        time_unit="s",
        fields=(
            Field("value", "value", "number"),
            Field("ok", "ok", "boolean"),
            Field("extra", "extra", "json"),
            Field("samples", "samples", "json"),
            Field("price", "price", "text"),
        ),
        tags=(Tag("sensor", "sensor"),),
        from_payload=False,
    )


def test_the_column_of_the_series_is_no_field() -> None:
    """It is read of each row, and named in `fields` it would be in two places."""
    mapping = mapped(series="sensor", max_series=7)
    assert mapping.series == SeriesColumn("sensor", "text", 7)
    assert [field.column for field in mapping.fields] == ["value", "ok", "extra", "samples", "price"]
    assert mapping.columns == ("timestamp", "value", "ok", "extra", "samples", "price", "sensor")
    assert mapped(series="id").series == SeriesColumn("id", "number", 50)
    assert mapped(tags=("sensor",), fields=("value",)).columns == ("timestamp", "value", "sensor")


def test_a_payload_names_its_series_as_it_likes() -> None:
    """The key of a notification's series may hold any JSON value."""
    mapping = map_channel(route(channel="c", series="s"))
    assert mapping.series == SeriesColumn("s", "json", 50)
    assert mapping.columns == ("timestamp", "value", "s")


@pytest.mark.parametrize("type_name", ["int2", "int4", "int8", "float4", "float8", "numeric"])
def test_number_types_are_numbers_and_may_be_the_time(type_name: str) -> None:
    """Each of Postgres' number types becomes a number field, or a time that counts a unit since 1970."""
    shape = TableShape("t", (Column("at", type_name), Column("v", type_name)), ())
    mapping = map_table(route(table="t", time="at", time_unit="ms"), shape)
    assert (mapping.time_kind, mapping.time_unit) == ("number", "ms")
    assert mapping.fields == (Field("v", "v", "number"),)


@pytest.mark.parametrize("type_name", ["timestamptz", "timestamp", "date"])
def test_calendar_types_may_be_the_time(type_name: str) -> None:
    """Timestamps with and without zone and dates can be the time."""
    shape = TableShape("t", (Column("at", type_name), Column("v", "float8")), ())
    assert map_table(route(table="t", time="at"), shape).time_kind == type_name


@pytest.mark.parametrize("type_name", ["text", "varchar", "uuid", "interval", "mood", "bytea", "oid", "xid8"])
def test_everything_else_is_text(type_name: str) -> None:
    """Enums, uuids, intervals and whatever else there is become text fields."""
    shape = TableShape("t", (Column("timestamp", "date"), Column("v", type_name)), ())
    assert map_table(route(table="t"), shape).fields == (Field("v", "v", "text"),)


def test_named_fields_keep_their_order_and_may_be_key_columns() -> None:
    """`fields` decides which columns are sent, in which order, the key included."""
    assert [field.column for field in mapped(fields=("value", "id")).fields] == ["value", "id"]


@pytest.mark.fault(79)
def test_a_table_name_becomes_a_measurement_that_can_be_subscribed_to() -> None:
    """The default measurement is the table's name with foreign characters replaced; a named one is taken as it is."""
    shape = TableShape("Zähler 1", SHAPE.columns, ("id",))
    assert map_table(route(table="t"), shape).measurement == "Z_hler_1"
    assert map_table(route(table="t", measurement="a/b.c=d-e"), shape).measurement == "a/b.c=d-e"


def test_nasty_columns_keep_their_source_and_get_a_name() -> None:
    """A column that Grafana could not show under its name is still read by it."""
    shape = TableShape("t", (Column("timestamp", "date"), Column("time", "float8"), Column("_0", "int4")), ())
    assert [(field.column, field.name) for field in map_table(route(table="t"), shape).fields] == [
        ("time", "time_"),
        ("_0", "_0_"),
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"time": "timestmp"},
            ['no column "timestmp" (time)', 'did you mean "timestamp"?', "value (float8)"],
        ),
        ({"fields": ("valeu",)}, ['no column "valeu" (fields)', 'did you mean "value"?', "sensor (text)"]),
        ({"tags": ("zzz",)}, ['no column "zzz" (tags). Its columns are: id (int8)']),
        ({"series": "sensr"}, ['no column "sensr" (series)', 'did you mean "sensor"?', "value (float8)"]),
        ({"series": "timestamp"}, ['"timestamp" stands in time and in series']),
        ({"series": "value", "fields": ("value",)}, ['"value" stands in fields and in series']),
        ({"time": "sensor"}, ['"sensor" of table live_metrics is text', "timestamptz, timestamp, date, int"]),
        ({"fields": ()}, ["no column left to send"]),
        ({"fields": ("value", "value")}, ['"value" stands twice in fields']),
        ({"fields": ("value", "timestamp")}, ['"timestamp" stands in time and in fields']),
        ({"fields": ("value",), "tags": ("value",)}, ['"value" stands in fields and in tags']),
        ({"tags": ("sensor", "sensor")}, ['"sensor" stands twice in tags']),
        ({"text_fields": ("value",)}, ["text_fields is for channel routes"]),
        ({"stream": "a b"}, ['stream "a b" must consist of']),
        ({"stream": ""}, ['stream "" must consist of']),
        ({"stream": "a\n"}, ["must consist of"]),
        ({"measurement": ""}, ['measurement "" must consist of']),
        ({"measurement": "#m"}, ['measurement "#m" must consist of']),
        ({"measurement": "ä"}, ["lets nobody subscribe to it"]),
        ({"measurement": "m" * 151}, ["has 161 bytes", "Grafana allows 160"]),
    ],
)
def test_every_mistake_has_its_sentence(settings: dict[str, Any], words: list[str]) -> None:
    """A route that cannot work is one ConfigError that names the route, what is wrong and what there is."""
    with pytest.raises(ConfigError) as error:
        mapped(**settings)
    assert str(error.value).startswith('route "r": ')
    for word in words:
        assert word in str(error.value)


@pytest.mark.fault(79)
def test_the_longest_channel_is_a_boundary() -> None:
    """160 bytes of ``stream/<stream>/<measurement>`` are allowed."""
    assert mapped(measurement="m" * 150).measurement == "m" * 150


def test_a_table_of_nothing_but_key_and_time_cannot_be_sent() -> None:
    """Without any column to send the start ends with the advice to name some."""
    shape = TableShape("t", (Column("id", "int8"), Column("timestamp", "timestamptz")), ("id",))
    with pytest.raises(ConfigError, match="name some in fields"):
        map_table(route(table="t"), shape)


def test_a_payload_carries_value_unless_told_otherwise() -> None:
    """A channel route without settings reads ``timestamp`` and ``value`` and is named after its channel."""
    mapping = map_channel(route(channel="Live feed"))
    assert mapping == Mapping(
        "pg",
        "Live_feed",
        "timestamp",
        "any",
        "s",
        (Field("value", "value", "number"),),
        (),
        from_payload=True,
    )


def test_a_payload_has_text_where_text_fields_say_so() -> None:
    """Fields of a payload are numbers but for those in `text_fields`."""
    mapping = map_channel(route(channel="c", fields=("a", "b"), text_fields=("b",), tags=("t",)))
    assert [(field.column, field.kind) for field in mapping.fields] == [("a", "number"), ("b", "text")]
    assert mapping.tags == (Tag("t", "t"),)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fields": ()}, "fields is empty"),
        ({"fields": ("value", "state"), "text_fields": ("stat",)}, 'did you mean "state"?'),
        ({"fields": ("timestamp",)}, '"timestamp" stands in time and in fields'),
        ({"fields": ("a",), "tags": ("a",)}, '"a" stands in fields and in tags'),
        ({"series": "value"}, '"value" stands in fields and in series'),
    ],
)
def test_a_channel_route_cannot_contradict_itself(settings: dict[str, Any], words: str) -> None:
    """Clashes among a payload's keys are one ConfigError too."""
    with pytest.raises(ConfigError) as error:
        map_channel(route(channel="c", **settings))
    assert words in str(error.value)
