"""What a browser gets: schemas when they change, keyframes, nulls, columns, prefixes, the list of channels."""

from __future__ import annotations

import pytest

from tests.contract.target import Target, fresh_stream, publications, schema_names, values

T = 1_700_000_000_000_000_000
MS = 1_000_000


def line(fields: str, ms: int) -> str:
    """A line of measurement ``m``, `ms` after T."""
    return f"m {fields} {T + ms * MS}"


async def pushed(target: Target, *messages: str) -> list[dict[str, object]]:
    """The publications that a subscriber of ``m`` got for `messages`, one each."""
    stream = fresh_stream()
    async with target.subscriber() as browser, target.pusher(stream) as push:
        assert "error" not in await browser.subscribe(f"{target.prefix}stream/{stream}/m")
        for message in messages:
            await push.send_message(message)
        return await publications(browser, len(messages))


async def test_the_schema_comes_when_it_changes(target: Target) -> None:
    """Names, order and types decide: a publication has the schema if one of them is new, else only data."""
    messages = ["m v=1 5", "m v=2 5", "m v=t 5", "m w=1,v=t 5", "m v=t,w=1 5", "m v=t 5"]
    frames = await pushed(target, *messages)
    assert ["schema" in frame for frame in frames] == [True, False, True, True, False, True]


async def test_columns_are_sorted_in_the_first_line_and_appended_after(target: Target) -> None:
    """Labels, time, the first line's fields by name, then those that later lines bring; what is missing is null."""
    [frame] = await pushed(target, "\n".join([line("z=1,b=2", 0), line("a=3,b=4", 1)]))
    assert schema_names(frame) == ["labels", "time", "b", "z", "a"]
    t = T // MS
    assert values(frame) == [["", ""], [t, t + 1], [2, 4], [1, None], [None, 3]]


async def test_rows_keep_the_order_of_their_message(target: Target) -> None:
    """Grafana's server sorts no rows: that is the browser's business."""
    [frame] = await pushed(target, "\n".join(line("v=1", ms) for ms in (2, 0, 1)))
    assert [(cell - T // MS) for cell in values(frame)[1]] == [2, 0, 1]


async def test_a_keyframe_replaces_because_its_flag_changes_the_schema(target: Target) -> None:
    """The flag in the first line alone makes the schema new; the delta that repeats it comes without schema."""
    keyframes = [
        "\n".join([line(f'_{n}="",v=1', 0), line("v=2", 1000 + n), line("v=3", 2000 + n)]) for n in (0, 1)
    ]
    delta = line('_0="",v=4', 3000)
    first, repeated, second = await pushed(target, keyframes[0], delta, keyframes[1])
    assert schema_names(first) == ["labels", "time", "_0", "v"]
    assert values(first)[2:] == [["", None, None], [1, 2, 3]]
    assert "schema" not in repeated
    assert values(repeated)[2:] == [[""], [4]]
    assert schema_names(second) == ["labels", "time", "_1", "v"]


async def test_who_comes_late_gets_the_last_message_alone(target: Target) -> None:
    """Only the last message of a channel is cached, with its schema; a keyframe is hence what a reload shows."""
    stream = fresh_stream()
    async with target.pusher(stream) as push, target.subscriber() as late:
        for message in (line("v=1", 0), line('_0="",v=2', 1) + "\n" + line("v=3", 2)):
            await push.send_message(message)
        await push.ping()
        data = (await late.subscribe(f"{target.prefix}stream/{stream}/m"))["subscribe"]["data"]
        assert schema_names(data) == ["labels", "time", "_0", "v"]
        assert values(data)[3] == [2, 3]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (('v="NaN"', "v=1"), [None, 1]),
        (("v=1", 'v="NaN"'), [1, None]),
        (('v="NaN"', 'v="NaN"'), [None, None]),
        (("v=1", 'v="text"'), [1, None]),
        (("v=1", "v=t"), [1, None]),
        (("v=t", "v=1"), [True, None]),
        (('v="text"', "v=1.5"), ["text", "1.5"]),
        (('v="text"', 'v=""'), ["text", ""]),
        (("v=1i", "v=123u"), [1, None]),
        (("v=9007199254740993", "v=0.1"), [9007199254740992, 0.1]),
    ],
)
async def test_what_becomes_of_a_value(
    target: Target, cells: tuple[str, str], expected: list[object]
) -> None:
    """Numbers are float64; NaN as text is a null that keeps its column; another type than the column's is null."""
    [frame] = await pushed(target, "\n".join(line(cell, ms) for ms, cell in enumerate(cells)))
    assert values(frame)[2] == expected


async def test_labels_are_one_column(target: Target) -> None:
    """Tags of a line stand together in the column ``labels``."""
    [frame] = await pushed(target, f"m,a=1,b=x v=1 {T}")
    assert values(frame)[0] == ["a=1, b=x"]


async def test_the_prefix_is_the_organisations(target: Target) -> None:
    """Organisation 1 is ``1/`` or, from Grafana 12.4 on, ``default/``; without a prefix a channel is refused."""
    name = f"stream/{fresh_stream()}/m"
    async with target.subscriber() as browser:
        assert "subscribe" in await browser.subscribe(f"{target.prefix}{name}")
        assert "error" in await browser.subscribe(name)


@pytest.mark.parametrize("name", ["a b", "temp,x", "m" * 151])
async def test_some_names_can_be_pushed_and_never_subscribed_to(target: Target, name: str) -> None:
    """A measurement with other characters, or too long, is accepted and nobody can see it: so the bridge refuses it."""
    stream = fresh_stream()
    escaped = name.replace(" ", "\\ ").replace(",", "\\,")
    assert await target.post(stream, f"{escaped} v=1 5", target.admin) == 200
    async with target.subscriber() as browser:
        reply = await browser.subscribe(f"{target.prefix}stream/{stream}/{name}")
        assert reply["error"] == {"code": 400, "message": "invalid channel ID"}


async def test_the_list_names_the_channel(target: Target) -> None:
    """``/api/live/list`` has every channel that had data, with its schema and publications a minute."""
    stream = fresh_stream()
    for number in range(3):
        assert await target.post(stream, line(f"v={number}", number), target.admin) == 200
    channels = (await target.ask("GET", "/api/live/list")).json()["channels"]
    [ours] = [entry for entry in channels if entry["channel"] == f"stream/{stream}/m"]
    assert ours["minute_rate"] == 3
    assert [column["name"] for column in ours["data"]["schema"]["fields"]] == ["labels", "time", "v"]
