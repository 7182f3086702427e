"""A replay end to end, real Postgres and strict Live server: complete, in order, resumable, unnoticed by others."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from msgspec import structs
from structlog.testing import CapturingLogger

from tests.live.clients import subscriber
from tests.pg import Database
from tests.replay.world import ROUTE, TABLE, replayed, seconds, table, values
from tests.waiting import wait_until
from trio_bridge.errors import CredentialsRefused
from trio_bridge.live.server import LiveServer


async def test_every_row_of_the_range_is_acknowledged(database: Database) -> None:
    """All rows once and in order, on the route's own channel, without flag or keyframe; the books close."""
    table(database, 5_000)
    async with LiveServer(keep_log=True) as live:
        outcome = await replayed(database, live, seconds(100, 4_900))
        assert values(live) == list(range(100, 4_900))
        assert {delivery.stream_id for delivery in live.deliveries} == {"pg"}
        assert {p.measurement for d in live.deliveries for p in d.points} == {"live_metrics"}
        assert {tuple(sorted(p.fields)) for d in live.deliveries for p in d.points} == {("id", "value")}
    assert outcome.finished
    assert outcome.failure is None
    assert (outcome.books.seen, outcome.books.acknowledged) == (4_800, 4_800)
    assert outcome.books.balanced


async def test_checkpoint_and_locks_stay_as_they_are(database: Database) -> None:
    """A replay writes nothing and holds no lock: a bridge beside it would not notice."""
    table(database, 50)
    before = database.execute("SELECT t::text FROM trio_bridge.checkpoint t")
    locks = """
        SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND d.datname = current_database()
    """
    async with LiveServer() as live, trio.open_nursery() as nursery:
        stop = trio.Event()
        nursery.start_soon(partial(replayed, database, live, seconds(0, 50), rate=10, stop=stop))
        await live.wait_messages(2)
        assert database.execute(locks) == [(0,)]
        stop.set()
    assert database.execute("SELECT t::text FROM trio_bridge.checkpoint t") == before


async def test_rejected_rows_are_counted_by_reason(database: Database) -> None:
    """A row that cannot be a line harms no neighbour; the range is finished, but not all of it acknowledged."""
    table(database, 20)
    database.execute(f"ALTER TABLE {TABLE} ADD note text")
    database.execute(f"UPDATE {TABLE} SET note = repeat('x', 70000) WHERE value = 7")
    route = structs.replace(ROUTE, fields=("value", "note"))
    async with LiveServer(keep_log=True) as live:
        outcome = await replayed(database, live, seconds(0, 20), route=route)
        assert values(live) == [value for value in range(20) if value != 7]
    assert outcome.finished
    assert outcome.books.rejected == {"too_large": 1}
    assert outcome.books.acknowledged == 19


async def test_old_rows_are_replayed_whatever_max_age_says(database: Database) -> None:
    """Who asks for old rows means it."""
    table(database, 10)
    async with LiveServer() as live:
        outcome = await replayed(database, live, seconds(0, 10), route=structs.replace(ROUTE, max_age="1s"))
    assert outcome.books.acknowledged == 10


@pytest.mark.parametrize("indexed", [True, False])
async def test_what_was_interrupted_goes_on_where_it_stopped(database: Database, indexed: bool) -> None:
    """Stopped in the middle and begun again behind its place: every row once, none twice."""
    table(database, 300, indexed=indexed)
    stop = trio.Event()
    outcomes = []
    async with LiveServer(keep_log=True) as live:
        async with trio.open_nursery() as nursery:

            async def first() -> None:
                outcomes.append(await replayed(database, live, seconds(0, 300), rate=200, stop=stop))

            nursery.start_soon(first)
            await wait_until(lambda: len(values(live)) >= 60)
            stop.set()
        (outcome,) = outcomes
        assert not outcome.finished
        assert outcome.failure is None
        assert outcome.books.acknowledged == outcome.books.seen == len(values(live)) < 300
        rest = await replayed(database, live, seconds(0, 300, outcome.place))
        assert rest.finished
        # Without an index pages come by key, and each page goes in the order of its times.
        assert (values(live) if indexed else sorted(values(live))) == list(range(300))


async def test_a_failure_says_from_where_to_go_on(database: Database) -> None:
    """When Grafana goes away the replay ends; nothing behind its place is lost, and little before it is repeated."""
    table(database, 2_000)
    outcomes = []
    async with LiveServer(keep_log=True) as live:
        async with trio.open_nursery() as nursery:

            async def first() -> None:
                outcomes.append(await replayed(database, live, seconds(0, 2_000), rate=500))

            nursery.start_soon(first)
            await wait_until(lambda: len(values(live)) >= 100)
            await live.restart()
        (outcome,) = outcomes
        assert outcome.failure is not None
        assert outcome.place is not None
        rest = await replayed(database, live, seconds(0, 2_000, outcome.place))
        assert rest.finished
        shown = values(live)
    assert sorted(set(shown)) == list(range(2_000))
    assert outcome.books.acknowledged + rest.books.acknowledged >= 2_000


@pytest.mark.parametrize("impatient", [False, True])
async def test_a_hung_grafana_holds_nobody_up(database: Database, impatient: bool) -> None:
    """It ends when the time for acknowledgements is over, or at once when told so; unproven rows are still to do."""
    table(database, 100)
    stop, at_once = trio.Event(), trio.CancelScope()
    outcomes = []
    async with LiveServer(keep_log=True) as live:
        live.faults.mute = True
        async with trio.open_nursery() as nursery:

            async def hung() -> None:
                outcomes.append(
                    await replayed(
                        database,
                        live,
                        seconds(0, 100),
                        stop=stop,
                        at_once=at_once,
                        drain_timeout_s=100 if impatient else 0.2,
                    )
                )

            nursery.start_soon(hung)
            await wait_until(lambda: len(values(live)) == 100)
            stop.set()
            if impatient:
                at_once.cancel()
        (outcome,) = outcomes
    assert not outcome.finished
    assert outcome.failure is None
    assert outcome.place is None
    assert outcome.books.pending == 100


async def test_refused_credentials_end_it_at_once(database: Database) -> None:
    """The failure is told by its type, and everything is still to do."""
    table(database, 10)
    async with LiveServer() as live:
        live.token = "another"
        outcome = await replayed(database, live, seconds(0, 10))
    assert not outcome.finished
    assert isinstance(outcome.failure, CredentialsRefused)
    assert outcome.place is None


async def test_a_rate_is_kept(database: Database) -> None:
    """No more rows than allowed: 60 at 100/s, ten at a time, take half a second at least."""
    table(database, 60)
    async with LiveServer(keep_log=True) as live:
        began = trio.current_time()
        outcome = await replayed(database, live, seconds(0, 60), rate=100)
        assert trio.current_time() - began >= 0.5
    assert outcome.finished
    assert outcome.books.acknowledged == 60


async def test_a_measurement_of_its_own_shows_the_window_to_who_opens_it_later(database: Database) -> None:
    """Elsewhere it keeps the window as a bridge does; a panel that is opened afterwards has the last rows."""
    table(database, 500)
    route = structs.replace(ROUTE, history_rows=100, keyframe_interval_s=0.2)
    async with LiveServer() as live:
        outcome = await replayed(database, live, seconds(0, 500), route=route, measurement="again")
        assert outcome.books.acknowledged == 500
        async with subscriber(live) as socket:
            frame = (await socket.subscribe("1/stream/pg/again"))["subscribe"]["data"]
    names = [field["name"] for field in frame["schema"]["fields"]]
    assert frame["data"]["values"][names.index("value")] == list(range(400, 500))


async def test_an_empty_range_ends_at_once(database: Database) -> None:
    """Nothing to send is success, also where a window is kept."""
    table(database, 10)
    async with LiveServer() as live:
        outcome = await replayed(database, live, seconds(50, 60), measurement="again")
    assert outcome.finished
    assert outcome.books.seen == 0


@pytest.mark.parametrize("indexed", [True, False])
async def test_says_when_it_has_to_read_the_whole_table(database: Database, indexed: bool) -> None:
    """Without an index on the time the operator is told why it takes long."""
    table(database, 10, indexed=indexed)
    logger = CapturingLogger()
    async with LiveServer() as live:
        await replayed(database, live, seconds(0, 10), logger=logger)
    said = [call.kwargs for call in logger.calls if call.kwargs["event"] == "slow"]
    assert len(said) == (0 if indexed else 1)
    assert all("no index of public.live_metrics begins with timestamp" in call["reason"] for call in said)
