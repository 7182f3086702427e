"""The observer: nothing there counts nothing, and every part that is there is counted."""

from __future__ import annotations

import json

from trio_bridge.demo.audit import Audit
from trio_bridge.demo.observer import Observer
from trio_bridge.demo.schedule import Schedule
from trio_bridge.live.server import LiveServer


async def test_before_anything_is_there() -> None:
    """While the parts are still starting the moment says so, without figures."""
    moment = Observer(None, target_rate=500, writers=3).look()
    assert (moment.phase, moment.elapsed_s, moment.target_rate, moment.writers) == ("starting", 0.0, 500, 3)
    assert (moment.postgres_up, moment.mode, moment.writers_connected) == (False, "down", 0)
    assert moment.latency_p50_ms is None


async def test_arrivals_are_seen() -> None:
    """Delivered rows and their latency come from the books, in milliseconds."""
    schedule = Schedule(0, 10)
    observer = Observer(LiveServer(), target_rate=10, writers=1)
    observer.audit = Audit(schedule)
    observer.audit.committed([0, 1], 1.0)
    observer.audit.arrived([schedule.row(0), schedule.row(1), schedule.row(1)], 1.25)
    moment = observer.look()
    assert (moment.delivered, moment.duplicates) == (2, 1)
    assert (moment.latency_p50_ms, moment.latency_p99_ms) == (250.0, 250.0)
    assert observer.moment is moment


async def test_clock_runs_while_it_runs() -> None:
    """The time shown starts with the writers and stops with them."""
    observer = Observer(None, target_rate=1, writers=1)
    observer.entered("running")
    first, second = observer.look().elapsed_s, observer.look().elapsed_s
    assert 0 <= first < second
    observer.entered("draining")
    stopped = observer.look().elapsed_s
    observer.entered("done")
    assert observer.look().elapsed_s == stopped


async def test_events_are_lines_of_json() -> None:
    """Each visitor of the page gets the moments, one line each."""
    observer = Observer(None, target_rate=7, writers=1)
    events = observer.events()
    line = await anext(events)
    await events.aclose()
    assert "\n" not in line
    assert json.loads(line)["target_rate"] == 7
