"""Which runs a command makes, in which order: systems alternate under the same load, minutes apart at most.

A plan is a function that takes the bench and yields runs as they are done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from benchmarks import cases
from benchmarks.results import Run
from benchmarks.systems import System
from benchmarks.world import Bench
from benchmarks.writers import Load

Plan = Callable[[Bench], AsyncIterator[Run]]


def latency(
    systems: Sequence[System], rates: Sequence[float], *, seconds: int, connections: int, rows: int, seed: int
) -> Plan:
    """Each rate with each system."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for rate in rates:
            for system in systems:
                load = Load(seconds, rate, connections, rows, seed=seed)
                yield await cases.latency(bench, system, load)

    return plan


def writers(
    systems: Sequence[System],
    *,
    seconds: int,
    connections: int,
    counts: Sequence[int],
    synchronous_commit: bool,
) -> Plan:
    """Each number of rows a transaction: alone, with each system, with ours prepared and away."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for count in counts:
            load = Load(seconds, None, connections, count, synchronous_commit)
            for system in (None, *systems):
                yield await cases.writers(bench, system, load)
            # Of all of ours with a table, the table is the same.
            for system in systems:
                if system.name == "ours":
                    yield await cases.writers(bench, system, load, running=False)

    return plan


def stages(systems: Sequence[System], rates: Sequence[float], *, seconds: int) -> Plan:
    """Each rate with each of ours."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for rate in rates:
            for system in systems:
                if system.ours:
                    yield await cases.stages(bench, system, Load(seconds, rate))

    return plan


def copy(systems: Sequence[System], rows: int) -> Plan:
    """Each system once."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for system in systems:
            yield await cases.copy(bench, system, rows)

    return plan


def catch_up(systems: Sequence[System], rows: int) -> Plan:
    """Each system that delivers what was written before it started."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for system in systems:
            if system.keeps_rows:
                yield await cases.catch_up(bench, system, rows)

    return plan


def saturation(systems: Sequence[System], *, rows: int, seconds: int, first: float) -> Plan:
    """Each system's own search."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for system in systems:
            yield await cases.saturation(bench, system, rows, seconds, first)

    return plan


def idle(systems: Sequence[System], seconds: int) -> Plan:
    """Each system once."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for system in systems:
            yield await cases.idle(bench, system, seconds)

    return plan


def start(systems: Sequence[System]) -> Plan:
    """Each system once."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for system in systems:
            yield await cases.start(bench, system)

    return plan


def sink() -> Plan:
    """Small messages at a rate and flat out, large ones flat out."""

    async def plan(_bench: Bench) -> AsyncIterator[Run]:
        yield await cases.sink(messages=10_000, lines=1, rate=5_000)
        yield await cases.sink(messages=200_000, lines=1, rate=0)
        yield await cases.sink(messages=2_000, lines=1_000, rate=0)

    return plan


def everything(systems: Sequence[System], seconds: int) -> Plan:
    """All cases, with the rates and sizes that the README's table has."""
    quick = [system for system in systems if system.name != "original"]
    unpaced = [system for system in quick if system.name != "ours"]
    plans = [
        sink(),
        start(systems),
        idle(systems, seconds),
        latency(systems, [10, 100, 1_000], seconds=seconds, connections=4, rows=1, seed=1),
        latency(quick, [5_000], seconds=seconds, connections=8, rows=1, seed=1),
        latency(quick, [10_000], seconds=seconds, connections=4, rows=10, seed=1),
        # Bursts: a thousand rows in one INSERT, once a second.
        latency(quick, [1_000], seconds=seconds, connections=1, rows=1_000, seed=1),
        latency(quick, [100_000], seconds=seconds, connections=4, rows=1_000, seed=1),
        writers(quick, seconds=seconds, connections=8, counts=[1, 100], synchronous_commit=True),
        writers(quick, seconds=seconds, connections=8, counts=[1], synchronous_commit=False),
        stages(systems, [100, 1_000], seconds=seconds),
        copy(quick, 100_000),
        catch_up(quick, 1_000_000),
        saturation(unpaced, rows=100, seconds=5, first=20_000),
    ]

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for part in plans:
            async for run in part(bench):
                yield run

    return plan
