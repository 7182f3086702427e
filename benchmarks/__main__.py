"""The command line: which cases, which systems; results as a dated file and as a table on the terminal."""

from __future__ import annotations

import datetime as dt
import functools
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import click

from benchmarks import charts, comparison, plans, report, results
from benchmarks.results import Results, Run
from benchmarks.systems import SYSTEMS, System, missing
from benchmarks.world import Bench, bench

DEFAULT = "ours,ours-pace0,ours-channel,asyncpg,asyncpg-joined,psycopg,pg-listen,original,floor,floor-c"


@click.group()
def main() -> None:
    """Measure the bridge beside what a user would pick instead; see benchmarks/README.md."""


def _systems(_context: click.Context, _parameter: click.Parameter, text: str) -> list[System]:
    unknown = [name for name in text.split(",") if name not in SYSTEMS]
    if unknown:
        raise click.BadParameter(f"no {', '.join(unknown)}; there are {', '.join(SYSTEMS)}")
    lacking = {name: tools for name in text.split(",") if (tools := missing(name))}
    for name, tools in lacking.items():
        click.echo(f"left out: {name} needs {tools}", err=True)
    return [SYSTEMS[name] for name in text.split(",") if name not in lacking]


def measurement(
    *options: Callable[[Any], Any], systems: str = DEFAULT
) -> Callable[[Callable[..., plans.Plan]], click.Command]:
    """Makes a command of a function that returns a plan: options in, runs printed, saved and told as a table."""

    def decorate(function: Callable[..., plans.Plan]) -> click.Command:
        @functools.wraps(function)
        def command(*, out: Path | None, repeat: int, **parameters: Any) -> None:
            _run(function.__name__.rstrip("_"), function(**parameters), out, repeat)

        wanted: Callable[..., None] = command
        for option in reversed(
            (
                click.option("--systems", "--peers", default=systems, show_default=True, callback=_systems),
                *options,
                click.option(
                    "--repeat", type=int, default=1, show_default=True, help="All of it; medians are told."
                ),
                click.option(
                    "--out", type=click.Path(path_type=Path), help="Default: benchmarks/results/<date>."
                ),
            )
        ):
            wanted = option(wanted)
        return main.command(function.__name__.rstrip("_").replace("_", "-"))(wanted)

    return decorate


seconds = click.option("--seconds", type=int, default=10, show_default=True, help="Of each load.")


@measurement(
    seconds,
    click.option("--rate", "rates", type=float, multiple=True, default=[100, 1000], show_default=True),
    click.option("--connections", type=int, default=4, show_default=True, help="That write."),
    click.option("--rows", type=int, default=1, show_default=True, help="In each transaction."),
    click.option("--seed", type=int, default=1, show_default=True, help="Of the times when rows are due."),
)
def latency(**parameters: Any) -> plans.Plan:
    """How late rows are that are written at a rate, and what each costs."""
    return plans.latency(**parameters)


@measurement(
    seconds,
    click.option("--connections", type=int, default=8, show_default=True, help="That write."),
    click.option("--rows", "counts", type=int, multiple=True, default=[1, 100], show_default=True),
    click.option("--synchronous-commit/--no-synchronous-commit", default=True, show_default=True),
)
def writers(**parameters: Any) -> plans.Plan:
    """How fast writers are with each system attached, and alone."""
    return plans.writers(**parameters)


@measurement(
    seconds,
    click.option("--rate", "rates", type=float, multiple=True, default=[100, 1000], show_default=True),
    systems="ours-pace0,ours-channel",
)
def stages(**parameters: Any) -> plans.Plan:
    """Where the time of ours goes, as its own metrics tell."""
    return plans.stages(**parameters)


@measurement(click.option("--rows", type=int, default=100_000, show_default=True))
def copy(**parameters: Any) -> plans.Plan:
    """Many rows in one COPY."""
    return plans.copy(**parameters)


@measurement(
    click.option("--rows", type=int, default=1_000_000, show_default=True), systems="ours,ours-pace0"
)
def catch_up(**parameters: Any) -> plans.Plan:
    """A backlog that was written while nobody was there; only for systems that deliver one."""
    return plans.catch_up(**parameters)


@measurement(
    click.option("--seconds", type=int, default=5, show_default=True, help="At each rate."),
    click.option("--rows", type=int, default=100, show_default=True, help="In each transaction."),
    click.option(
        "--first", type=float, default=20_000, show_default=True, help="Rows a second to begin with."
    ),
    systems="ours-pace0,asyncpg,asyncpg-joined,psycopg",
)
def saturation(**parameters: Any) -> plans.Plan:
    """The highest rate with nothing lost and p99 below 100 ms."""
    return plans.saturation(**parameters)


@measurement(seconds)
def idle(**parameters: Any) -> plans.Plan:
    """What it costs when nothing is written."""
    return plans.idle(**parameters)


@measurement()
def start(**parameters: Any) -> plans.Plan:
    """From the start of the process to its first row."""
    return plans.start(**parameters)


@measurement(systems="ours")
def sink(systems: Sequence[System]) -> plans.Plan:
    """What the sink itself can take; of no system."""
    del systems
    return plans.sink()


@measurement(seconds)
def all_(systems: Sequence[System], seconds: int) -> plans.Plan:
    """Every case; about half an hour."""
    return plans.everything(systems, seconds)


@main.command()
@click.argument("old", type=click.Path(exists=True, path_type=Path))
@click.argument("new", type=click.Path(exists=True, path_type=Path))
def compare(old: Path, new: Path) -> None:
    """What has changed between two results, in Markdown."""
    print(comparison.table(results.read(old), results.read(new)))


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--charts", "directory", type=click.Path(path_type=Path), help="Also draw SVGs there.")
def table(files: Sequence[Path], directory: Path | None) -> None:
    """Results as Markdown tables."""
    runs = [run for file in files for run in results.read(file).runs]
    print(report.table(runs))
    if directory is not None:
        for path in charts.draw(report.merged(runs), directory):
            print(path)


def _run(name: str, plan: plans.Plan, out: Path | None, repeat: int) -> None:
    """Run `plan`; each run is printed and saved as soon as it is there."""

    async def measure() -> list[Run]:
        began = dt.datetime.now(dt.UTC)
        path = out or results.DIRECTORY / f"{began:%Y-%m-%d-%H%M}-{name}.json"
        runs: list[Run] = []
        async with anyio.create_task_group() as group, bench() as running:
            group.start_soon(_stop_when_told, group.cancel_scope)
            machine = results.this_machine(running.server.binaries.version)
            async for run in _repeated(plan, running, repeat):
                runs.append(run)
                print(report.line(run), flush=True)
                results.save(Results(began=began, machine=machine, runs=runs), path)
            group.cancel_scope.cancel()
        print(f"\nwritten to {path}\n")
        return runs

    print(report.table(anyio.run(measure, backend="trio")))


async def _stop_when_told(scope: anyio.CancelScope) -> None:
    """Cancel at a signal, so that no process is left behind; what has been measured is told all the same."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            print("stopping: the load under way is written to its end", flush=True)
            scope.cancel()


async def _repeated(plan: plans.Plan, running: Bench, repeat: int) -> AsyncIterator[Run]:
    # The whole plan each time, so that a bad minute of the machine hits one run of each and not all of one.
    for _ in range(repeat):
        async for run in plan(running):
            yield run


if __name__ == "__main__":
    main()
