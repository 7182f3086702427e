"""The command line: which cases, which systems; results as a dated file and as a table on the terminal."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import click

from benchmarks import cases, report, results
from benchmarks.results import Results, Run
from benchmarks.systems import SYSTEMS, System
from benchmarks.world import Bench, bench
from benchmarks.writers import Load

Plan = Callable[[Bench], AsyncIterator[Run]]

DEFAULT = "ours,ours-pace0,ours-channel,asyncpg,asyncpg-joined,psycopg,original"


def _systems(_context: click.Context, _parameter: click.Parameter, text: str) -> list[System]:
    unknown = [name for name in text.split(",") if name not in SYSTEMS]
    if unknown:
        raise click.BadParameter(f"no {', '.join(unknown)}; there are {', '.join(SYSTEMS)}")
    return [SYSTEMS[name] for name in text.split(",")]


systems_option = click.option(
    "--systems",
    "--peers",
    default=DEFAULT,
    show_default=True,
    callback=_systems,
    help="Comma-separated names.",
)
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The JSON file; default: benchmarks/results/<date>-<case>.json.",
)
seconds_option = click.option("--seconds", type=int, default=10, show_default=True, help="Of each load.")
seed_option = click.option(
    "--seed", type=int, default=1, show_default=True, help="Of the times when rows are due."
)


@click.group()
def main() -> None:
    """Measure the bridge beside what a user would pick instead; see benchmarks/README.md."""


@main.command()
@systems_option
@out_option
@seconds_option
@seed_option
@click.option(
    "--rate", "rates", type=float, multiple=True, default=[100, 1000], show_default=True, help="Rows/s."
)
@click.option("--connections", type=int, default=4, show_default=True, help="That write.")
@click.option("--rows", type=int, default=1, show_default=True, help="In each transaction.")
def latency(
    systems: list[System],
    out: Path | None,
    seconds: int,
    *,
    seed: int,
    rates: tuple[float, ...],
    connections: int,
    rows: int,
) -> None:
    """How late rows are that are written at a rate, and what each costs."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for rate in rates:
            for system in systems:
                load = Load(seconds, rate, connections, rows, seed=seed)
                yield await cases.latency(bench, system, load)

    _run("latency", plan, out)


@main.command()
@systems_option
@out_option
@seconds_option
@click.option("--connections", type=int, default=8, show_default=True, help="That write.")
@click.option(
    "--rows", "rows", type=int, multiple=True, default=[1, 100], show_default=True, help="A transaction."
)
@click.option(
    "--synchronous-commit/--no-synchronous-commit", default=True, help="Whether commits wait for the disk."
)
def writers(
    systems: list[System],
    out: Path | None,
    seconds: int,
    connections: int,
    rows: tuple[int, ...],
    *,
    synchronous_commit: bool,
) -> None:
    """How fast writers are with each system attached, and alone."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for count in rows:
            load = Load(seconds, None, connections, count, synchronous_commit)
            for system in (None, *systems):
                yield await cases.writers(bench, system, load)

    _run("writers", plan, out)


@main.command()
@systems_option
@out_option
@click.option("--rows", type=int, default=100_000, show_default=True)
def copy(systems: list[System], out: Path | None, rows: int) -> None:
    """Many rows in one COPY."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for system in systems:
            yield await cases.copy(bench, system, rows)

    _run("copy", plan, out)


@main.command("catch-up")
@systems_option
@out_option
@click.option("--rows", type=int, default=1_000_000, show_default=True)
def catch_up(systems: list[System], out: Path | None, rows: int) -> None:
    """A backlog that was written while nobody was there; only for systems that deliver one."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for system in systems:
            if system.keeps_rows:
                yield await cases.catch_up(bench, system, rows)

    _run("catch-up", plan, out)


@main.command()
@systems_option
@out_option
@seconds_option
def idle(systems: list[System], out: Path | None, seconds: int) -> None:
    """What it costs when nothing is written."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for system in systems:
            yield await cases.idle(bench, system, seconds)

    _run("idle", plan, out)


@main.command()
@systems_option
@out_option
def start(systems: list[System], out: Path | None) -> None:
    """From the start of the process to its first row."""

    async def plan(bench: Bench) -> AsyncIterator[Run]:
        for system in systems:
            yield await cases.start(bench, system)

    _run("start", plan, out)


def _run(name: str, plan: Plan, out: Path | None) -> None:
    """Run `plan`; each run is printed and saved as soon as it is there."""

    async def measure() -> list[Run]:
        began = dt.datetime.now(dt.UTC)
        path = out or results.DIRECTORY / f"{began:%Y-%m-%d-%H%M}-{name}.json"
        runs: list[Run] = []
        async with bench() as running:
            machine = results.this_machine(running.server.binaries.version)
            async for run in plan(running):
                runs.append(run)
                print(report.line(run), flush=True)
                results.save(Results(began=began, machine=machine, runs=runs), path)
        print(f"\nwritten to {path}\n")
        return runs

    print(report.table(anyio.run(measure, backend="trio")))


if __name__ == "__main__":
    main()
