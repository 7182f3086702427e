"""A role without any right may notify whatever it likes: ten thousand payloads, and what comes of them.

On the bell's channel: nothing but deltas. On a channel route a payload is the row, so a forged row is shown; it stands
beside the real ones and changes none. In neither case does memory grow or anything stop.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
import trio

from tests.chaos.bridges import BridgeProcess
from tests.faults.processes import bridge_process, events, gate_held, wait_fact
from tests.faults.readings import TABLE, readings
from tests.pg import Database
from trio_bridge.config.names import parse_table
from trio_bridge.live.intake import Delivery
from trio_bridge.live.server import LiveServer
from trio_bridge.postgres.install import install

FORGED = 10_000
GROWTH_KIB = 24 * 1024
"""What the bridge may grow by meanwhile: it holds at most 8 MiB of payloads, and Python gives little back."""


@pytest.fixture
def forge(database: Database) -> Iterator[Callable[[str, Sequence[str]], None]]:
    """``forge(channel, payloads)``: notifies them as a role that may log in and nothing else, 500 a transaction."""
    role = f"forger_{database.name}"
    database.execute(f"CREATE ROLE {role} LOGIN")

    def notify(channel: str, payloads: Sequence[str]) -> None:
        with psycopg.connect(database.server.dsn(database.name, user=role), autocommit=True) as forger:
            for start in range(0, len(payloads), 500):
                part = list(payloads[start : start + 500])
                forger.execute("SELECT count(pg_notify(%s, p)) FROM unnest(%s::text[]) p", (channel, part))

    yield notify
    database.execute(f"DROP ROLE {role}")


def forgeries(oid: str, count: int = FORGED) -> list[str]:
    """Bells, fake rows (of real keys too), fake positions, garbage, and one in twenty as huge as can be."""
    dice = random.Random(46)

    def one(number: int) -> str:
        match number % 20:
            case 0:
                return "".join(chr(dice.randrange(0x20, 0x2FFF)) for _ in range(2_600))
            case 1:
                return f'{{"timestamp": 1767225600, "value": "{"x" * 7_000}{number}"}}'
            case 2 | 3:
                return f"{number}:{number + 10**9}:{number + 1}"
            case 4 | 5:
                return f'{{"name": "{TABLE}", "epoch": {number}, "snapshot": "9{number}:9{number}:"}}'
            case 6:
                return oid
            case 7:
                return str(int(oid) + dice.randrange(1, 999))
            case 8 | 9:
                return "[" * dice.randrange(1, 4_000) + str(number)
            case 10 | 11 | 12:
                return f'{{"id": {number % 7}, "timestamp": "2026-01-01T00:00:00Z", "value": 1e{number}, "note": ""}}'
            case 13 | 14:
                return f"'; DROP TABLE readings; -- {number}\n{TABLE} value=1 {number}"
            case _:
                return f'{{"timestamp": {1_767_225_600 + number}, "value": {number}, "id": {number}}}'

    return [one(number) for number in range(count)]


@pytest.mark.fault(46)
@pytest.mark.deadline(90)
async def test_forged_bells_alter_nothing(
    database: Database, tmp_path: Path, forge: Callable[[str, Sequence[str]], None]
) -> None:
    """Ten thousand payloads on the bell: the checkpoint stays, every real row comes once as it is, memory stays."""
    async with readings(database.dsn) as world, bridge_process(world, tmp_path) as bridge:
        await world.wait_arrived(*world.insert(3))
        ((oid,),) = database.execute(f"SELECT '{TABLE}'::regclass::oid::text")
        payloads = forgeries(oid)
        await wait_fact(bridge, lambda: gate_held(world))
        # What was acknowledged is written at most a second later; from then on the position rests.
        rows = f"{TABLE} r, trio_bridge.checkpoint c"
        unsaved = f"SELECT count(*) FROM {rows} WHERE NOT pg_visible_in_snapshot(r.txid, c.snapshot)"
        await wait_fact(bridge, lambda: database.execute(unsaved) == [(0,)])
        await trio.to_thread.run_sync(forge, "influx_feed", payloads[:1000])
        await world.wait_arrived(*world.insert())
        await wait_fact(bridge, lambda: database.execute(unsaved) == [(0,)])
        rested, before_kib = world.checkpoint(), bridge.rss_kib()
        await trio.to_thread.run_sync(forge, "influx_feed", payloads[1000:5000])
        # A session of its own asks after the last bell has been taken in: the queue is empty.
        await wait_fact(bridge, lambda: database.execute("SELECT pg_notification_queue_usage()") == [(0,)])
        assert world.checkpoint() == rested
        for start in range(5000, FORGED, 500):
            world.insert(2)
            await trio.to_thread.run_sync(forge, "influx_feed", payloads[start : start + 500])
        await world.wait_all()
        assert bridge.rss_kib() - before_kib < GROWTH_KIB
        assert not events(bridge, "route_failed", "route_crashed", "row_rejected")


class Shown(Counter[float]):
    """What arrived on a channel route, by value."""

    def __call__(self, delivery: Delivery) -> None:
        if delivery.points and not any(name.startswith("_") for name in delivery.points[0].fields):
            self.update(float(point.fields["value"]) for point in delivery.points)


@pytest.mark.deadline(90)
async def test_forged_rows_of_a_channel_stand_beside_the_real_ones(
    database: Database, tmp_path: Path, forge: Callable[[str, Sequence[str]], None]
) -> None:
    """A forged row is shown, garbage is counted by reason, each real row comes as it is; no position is moved."""
    install(database.dsn, parse_table("public.live_metrics"), routes=["other"])
    before = database.execute("SELECT c::text FROM trio_bridge.checkpoint c")
    payloads = forgeries("1")
    real = [f'{{"timestamp": {1_767_225_600 + n}, "value": {10**6 + n}}}' for n in range(100)]
    dice = random.Random(47)
    shown = Shown()
    async with LiveServer(on_message=shown) as live:
        bridge = BridgeProcess(database.dsn, live, tmp_path, channel="feed", history_rows="0")
        bridge.start()
        try:
            await wait_fact(bridge, lambda: bool(live.faults.peers))
            await trio.to_thread.run_sync(forge, "feed", payloads[:500])
            await wait_fact(bridge, lambda: shown.total() > 50)
            before_kib = bridge.rss_kib()
            for number in range(20):
                start = 500 + number * 475
                mixed = payloads[start : start + 475] + real[number * 5 : number * 5 + 5]
                dice.shuffle(mixed)
                await trio.to_thread.run_sync(forge, "feed", mixed)
            await wait_fact(bridge, lambda: all(shown[10**6 + number] for number in range(100)))
            assert bridge.rss_kib() - before_kib < GROWTH_KIB
            assert await bridge.terminate() == 0
        finally:
            if bridge.alive:
                bridge.kill()
        assert live.counters.dropped == 0
    assert all(shown[10**6 + number] == 1 for number in range(100))
    assert sum(value < FORGED for value in shown) > 1000
    assert not events(bridge, "gap", "route_failed", "route_crashed")
    reasons = {str(event["reason"]) for event in events(bridge, "row_rejected")}
    assert reasons >= {"not_json", "out_of_range", "wrong_type"}
    assert database.execute("SELECT c::text FROM trio_bridge.checkpoint c") == before
