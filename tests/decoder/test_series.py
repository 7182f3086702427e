"""Series one by one: what they are called, who is refused, and what a first line repeats of them all."""

import pytest

from trio_bridge.config.settings import RouteSettings
from trio_bridge.decoder import lines
from trio_bridge.decoder.mapping import map_channel
from trio_bridge.decoder.series import MAX_DEFAULTS_BYTES, MAX_LINE_BYTES, Series
from trio_bridge.errors import PayloadError


def series(*fields: str, most: int = 500, text_fields: tuple[str, ...] = ()) -> Series:
    route = RouteSettings(name="r", channel="m", fields=fields, text_fields=text_fields, series="s")
    return Series(map_channel(route), most)


def refusal(known: Series, text: str, words: tuple[str | int, ...] = (1, 5)) -> str:
    with pytest.raises(PayloadError) as refused:
        known.line(text, words)
    return refused.value.reason


def names(known: Series, *texts: str) -> list[str]:
    return [known.line(text, (1, 5)).decode().removeprefix("m ").removesuffix("=1 5") for text in texts]


def test_names_are_given_once() -> None:
    """A series keeps its name, whoever comes later; a later one gets out of the way, the reserved names too."""
    known = series("value")
    assert names(known, "a\n", "a_", "a\\", "a_", "a\n", "time", "_7", "time_", "labels", "%d") == [
        "a_", "a__2", "a__3", "a__2", "a_", "time_", "_7_", "time__2", "labels_", "%d",
    ]  # fmt: skip


def test_fields_of_different_series_never_meet() -> None:
    """Two fields and two series that would give one name give two."""
    known = series("a", "a_b")
    assert known.line("b_c", (1, 2, 5)) == b"m a_b_c=1,a_b_b_c=2 5"
    assert known.line("c", (3, 4, 5)) == b"m a_c=3,a_b_c_2=4 5"
    assert known.line("b_c", (1, 2, 5)) == b"m a_b_c=1,a_b_b_c=2 5"
    assert known.defaults == b'a_b_b_c="NaN",a_b_c="NaN",a_b_c_2="NaN",a_c="NaN",'


def test_defaults_are_sorted_nulls_of_their_type() -> None:
    """A number's null is the string NaN, a text's is empty; names are escaped, and sorted as they are shown."""
    known = series("v", "t", text_fields=("t",))
    assert known.defaults == b""
    known.line("b", (1, '"x"', 5))
    known.line("a =", (1, '"x"', 5))
    assert known.defaults == b't_a\\ \\=="",t_b="",v_a\\ \\=="NaN",v_b="NaN",'


def test_the_same_rows_give_the_same_names() -> None:
    """Names depend on nothing but the order of the rows."""
    texts = ["x\n", "x\\", "x_", "x__2", "y"]
    assert names(series("v"), *texts) == names(series("v"), *texts) == ["x_", "x__2", "x__3", "x__2_2", "y"]


def test_first_come_keep_their_place() -> None:
    """Above the limit a new series is refused, and again, while the known ones go on."""
    known = series("v", most=2)
    known.line("b", (1, 5))
    known.line("a", (1, 5))
    defaults = known.defaults
    assert [refusal(known, "c"), refusal(known, "c")] == ["too_many_series"] * 2
    assert known.line("a", (2, 6)) == b"m a=2 6"
    assert known.defaults == defaults
    assert list(known.templates) == ["b", "a"]


def test_a_refused_row_takes_no_place() -> None:
    """A series whose first row is too large for a line is not known by it."""
    known = series("v", most=1)
    assert refusal(known, "a", ("1" * MAX_LINE_BYTES, 5)) == "too_large"
    assert (known.templates, known.defaults) == ({}, b"")
    assert known.line("b", (1, 5)) == b"m b=1 5"


def test_all_names_fit_into_a_line() -> None:
    """Names that would fill messages are refused as too many series; just as many bytes as allowed are taken."""
    known = series("v")
    room = MAX_DEFAULTS_BYTES - len('="NaN",')
    assert refusal(known, "x" * (room + 1)) == "too_many_series"
    assert refusal(known, "ä" * (room // 2 + 1)) == "too_many_series"
    known.line("x" * room, (1, 5))
    assert len(known.defaults) == MAX_DEFAULTS_BYTES
    assert refusal(known, "y") == "too_many_series"


def test_a_line_and_the_defaults_are_no_longer_than_any_line() -> None:
    """The longest line of a series leaves room for the defaults of all."""
    known = series("v")
    room = MAX_LINE_BYTES - len("m a= 5")
    assert (
        len(known.line("a", ("1" * room, 5))) == MAX_LINE_BYTES == lines.MAX_LINE_BYTES - MAX_DEFAULTS_BYTES
    )
    assert refusal(known, "a", ("1" * (room + 1), 5)) == "too_large"
