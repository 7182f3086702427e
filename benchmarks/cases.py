"""The cases: each a function that runs one system once and returns its figures.

In all of them the system, the sink, the writers and PostgreSQL are processes of their own. ``lost`` counts committed
rows that had not arrived when the sink had been quiet for `benchmarks.world.QUIET_S` or the limit was over.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import psycopg

from benchmarks import processes
from benchmarks import stages as pipeline
from benchmarks.percentiles import curve, percentile, sorted_samples
from benchmarks.results import Run
from benchmarks.systems import System
from benchmarks.world import Attached, Bench, SinkClient, read_doubles
from benchmarks.writers import Load

# Rows that were due earlier than this after the first are not in the percentiles: caches and connections are cold.
WARM_UP_S = 1.0
# After a load has ended, for what is still under way.
SETTLE_LIMIT_S = 60.0
# Of asking for their number: PostgreSQL counts one for a new session and one for its query.
OWN_TRANSACTIONS = 2
# What "in time" means where a highest rate is looked for.
IN_TIME_MS = 100.0
# Between the first row and the load: a system that changes its mode when things are quiet has done so.
REST_S = 2.0
# Whatever follows a row is over by then, and an idle session has told its statistics (PostgreSQL: pgstat.c, 10 s).
IDLE_REST_S = 12.0


async def latency(bench: Bench, system: System, load: Load) -> Run:
    """Rows at a rate: how late each is at the sink, and what it costs. Fair: the same rows at the same times for all.

    Counted from when a row was *due* (``latency_ms``), so the commit is inside, and so is every stall of the
    database, the writers or the system. ``after_commit`` counts from when the writer had the commit's answer: that is
    the system alone, also where a shared disk is slow, and it may be negative, because the row can be there first.
    """
    async with bench.attached(system) as attached:
        await anyio.sleep(REST_S)
        return await _loaded(attached, "latency", system.name, load)


async def stages(bench: Bench, system: System, load: Load) -> Run:
    """As `latency`, of ours alone: with what the bridge itself says of its stages (`benchmarks.stages`).

    A table's route is run by `benchmarks.staged_bridge`, which adds the legs of a row's way, each by its own median.
    """
    staged = pipeline.staged(system, bench.new_path("stages"))
    async with bench.attached(staged) as attached:
        await anyio.sleep(REST_S)
        url = pipeline.status_url(attached.log)
        before = await pipeline.scrape(url)
        run = await _loaded(attached, "stages", system.name, load)
        told = pipeline.figures(before, await pipeline.scrape(url))
        kept = (
            "rows",
            "lost",
            "commit_p50_ms",
            "after_commit_p50_ms",
            "after_commit_p99_ms",
            "messages_per_s",
        )
        figures = {name: run.figures[name] for name in kept} | told
    # What the legs were is known when the bridge has ended.
    return msgspec.structs.replace(run, figures=figures | pipeline.legs(staged))


async def writers(bench: Bench, system: System | None, load: Load, *, running: bool = True) -> Run:
    """Writers as fast as they can: their own speed with a system attached, or with none at all.

    With `running` False the table is prepared but nobody is there: what the column, index and trigger alone cost.

    Unfair on purpose where it must be: on a machine with few cores every process takes from the writers, the sink
    included, and a system that slows the writers down has fewer rows to carry.
    """
    name = system.name if system else "none"
    async with bench.attached(system, running=running) as attached:
        await anyio.sleep(REST_S)
        return await _loaded(attached, "writers", name if running else f"{name}-away", load)


async def idle(bench: Bench, system: System, seconds: float) -> Run:
    """Nothing is written. Statements are the transactions that PostgreSQL counts, without this question's own."""
    async with bench.attached(system) as attached:
        await anyio.sleep(IDLE_REST_S)
        transactions = await anyio.to_thread.run_sync(_transactions, attached.dsn)
        before = await attached.usage()
        await anyio.sleep(seconds)
        after = await attached.usage()
        done = await anyio.to_thread.run_sync(_transactions, attached.dsn) - transactions - OWN_TRANSACTIONS
        took = after.at_s - before.at_s
        return Run(
            case="idle",
            system=system.name,
            parameters={"seconds": seconds},
            figures={
                "system_cpu_percent": 100 * (after.system_cpu_s - before.system_cpu_s) / took,
                "queries_per_s": done / took,
                "messages_per_s": (after.messages - before.messages) / took,
                **_memory(attached),
            },
        )


async def saturation(bench: Bench, system: System, rows: int, seconds: int, first: float) -> Run:
    """The highest rate that is delivered in time: nothing lost, p99 below `IN_TIME_MS`, the writers not held up.

    Rates are doubled until one fails, then halved between until they are within a tenth. Unfair on purpose: a pace of
    100 ms cannot have a p99 below 100 ms, so the default pace is in time nowhere; ask for it with pace 0.
    """
    good, good_p99, bad, rate = 0.0, math.nan, math.inf, first
    while bad > 1.1 * good and rate >= first / 8:
        async with bench.attached(system) as attached:
            await anyio.sleep(REST_S)
            run = await _loaded(attached, "saturation", system.name, Load(seconds, rate, 8, rows))
        p99 = dict(run.latency_ms)[99.0]
        achieved = run.figures["rows_per_s"]
        assert achieved is not None
        if p99 is not None and p99 < IN_TIME_MS and not run.figures["lost"] and achieved > 0.97 * rate:
            good, good_p99 = rate, p99
        else:
            bad = rate
        rate = 2 * good if bad == math.inf else (good + bad) / 2
    return Run(
        case="saturation",
        system=system.name,
        parameters={"rows_per_transaction": rows, "seconds": seconds},
        figures={"in_time_rows_per_s": good, "p99_ms_there": _finite(good_p99)},
    )


async def sink(messages: int, lines: int, rate: float) -> Run:
    """The sink alone, against a sender that does nothing else: how far it is from being what is measured.

    ``stamp`` is from before the sender's write to the sink's stamp.
    """
    with tempfile.TemporaryDirectory(prefix="trio-bridge-sink-") as name, ExitStack() as stack:
        directory = Path(name)
        client = SinkClient(directory)
        stack.enter_context(client.child)
        sent_file = directory / "sent"
        words = [client.url.rpartition(":")[2], str(messages), str(lines), str(rate), str(sent_file)]
        await anyio.run_process([sys.executable, "-m", "benchmarks.flood", *words], check=True)
        while (await client.ask("counters"))["messages"] < messages:  # noqa: ASYNC110 - it is another process
            await anyio.sleep(0.01)
        cpu_s = processes.cpu_s(client.child.pid)
        arrivals = await client.arrivals()
        sent = read_doubles(sent_file)
        stamps = [arrivals[message * lines] for message in range(messages)]
        took = max(stamps) - sent[0]
        late = sorted_samples(1e3 * (stamp - at) for stamp, at in zip(stamps, sent, strict=True))
        return Run(
            case="sink",
            system="none",
            parameters={"messages": messages, "lines": lines, "rate": rate or "flat-out"},
            figures={
                "messages_per_s": messages / took,
                "rows_per_s": messages * lines / took,
                "stamp_p50_ms": percentile(late, 50),
                "stamp_p99_ms": percentile(late, 99),
                "sink_cpu_us_per_message": 1e6 * cpu_s / messages,
            },
        )


async def start(bench: Bench, system: System) -> Run:
    """From starting the process to the arrival of the first row (one is written every 20 ms)."""
    async with bench.attached(system) as attached:
        return Run(
            case="start",
            system=system.name,
            parameters={},
            figures={"first_row_s": attached.started_s, **_memory(attached)},
        )


async def copy(bench: Bench, system: System, rows: int) -> Run:
    """One COPY of `rows` rows: until the last one is there, from its commit and from its begin."""
    async with bench.attached(system) as attached:
        await anyio.sleep(REST_S)
        before = await attached.usage()
        began, committed = await anyio.to_thread.run_sync(_copy, attached.dsn, rows)
        await attached.settle(rows, SETTLE_LIMIT_S)
        after = await attached.usage()
        times = [stamp for stamp in await attached.sink.arrivals() if not math.isnan(stamp)]
        last = max(times, default=math.inf)
        return Run(
            case="copy",
            system=system.name,
            parameters={"rows": rows},
            figures={
                "lost": rows - len(times),
                "copy_s": committed - began,
                "after_commit_s": _finite(last - committed),
                "rows_per_s": _finite(len(times) / (last - began)),
                "messages": after.messages - before.messages,
                "system_cpu_us_per_row": 1e6 * (after.system_cpu_s - before.system_cpu_s) / rows,
                **_memory(attached),
            },
        )


async def catch_up(bench: Bench, system: System, rows: int) -> Run:
    """The system starts on `rows` rows that it has not seen. Unfair on purpose: whoever listens only delivers none."""
    async with bench.attached(system, rows_before=rows) as attached:
        before = await attached.usage()
        if system.keeps_rows:
            # On a machine that is busy it may take longer to start than a system may be quiet.
            await attached.wait_message()
        await attached.settle(rows, 3 * SETTLE_LIMIT_S)
        after = await attached.usage()
        times = sorted(stamp for stamp in await attached.sink.arrivals() if not math.isnan(stamp))
        took = times[-1] - times[0] if times else math.inf
        return Run(
            case="catch-up",
            system=system.name,
            parameters={"rows": rows},
            figures={
                "lost": rows - len(times),
                "rows_per_s": _finite(len(times) / took),
                "from_start_s": _finite((times[-1] if times else math.inf) - before.at_s),
                "system_cpu_us_per_row": 1e6 * (after.system_cpu_s - before.system_cpu_s) / rows,
                **_memory(attached),
            },
        )


async def _loaded(attached: Attached, case: str, system: str, load: Load) -> Run:
    """Run `load` and tell what became of it."""
    before = await attached.usage()
    transactions, written = await attached.write(load)
    rows = sum(transaction.rows for transaction in transactions)
    began, ended = min(t.due_s for t in transactions), max(t.committed_s for t in transactions)
    figures: dict[str, float | None] = {
        "rows": rows,
        "rows_per_s": rows / (ended - began),
        "commits_per_s": len(transactions) / (ended - began),
        "commit_p50_ms": _ms(t.committed_s - t.due_s for t in transactions),
    }
    if attached.system is None:
        return Run(case=case, system=system, parameters=_parameters(load), figures=figures)
    await attached.settle(rows, SETTLE_LIMIT_S)
    after = await attached.usage()
    arrivals = await attached.sink.arrivals()
    late, after_commit, lost, last = [], [], 0, ended
    for transaction in transactions:
        for number in range(transaction.first, transaction.first + transaction.rows):
            stamp = arrivals[number] if number < len(arrivals) else math.nan
            if math.isnan(stamp):
                lost += 1
            else:
                last = max(last, stamp)
            if transaction.due_s >= began + WARM_UP_S:
                late.append(1e3 * (stamp - transaction.due_s))
                after_commit.append(stamp - transaction.committed_s)
    # Postgres and the sink are charged for the time of writing; the system until its last row has gone.
    took = written.at_s - before.at_s
    figures |= {
        "lost": lost,
        "behind_s": last - ended,
        "after_commit_p50_ms": _ms(after_commit),
        "after_commit_p99_ms": _ms(after_commit, 99),
        "messages_per_s": (written.messages - before.messages) / took,
        "bytes_per_s": (written.bytes - before.bytes) / took,
        "connections": after.connections - before.connections,
        "system_cpu_us_per_row": 1e6 * (after.system_cpu_s - before.system_cpu_s) / rows,
        "postgres_cpu_us_per_row": 1e6 * (written.postgres_cpu_s - before.postgres_cpu_s) / rows,
        "system_cpu_percent": 100 * (written.system_cpu_s - before.system_cpu_s) / took,
        "sink_cpu_percent": 100 * (written.sink_cpu_s - before.sink_cpu_s) / took,
        **_memory(attached),
    }
    return Run(
        case=case,
        system=system,
        parameters=_parameters(load),
        figures=figures,
        latency_ms=curve(sorted_samples(late)),
    )


def _parameters(load: Load) -> dict[str, int | float | str | bool]:
    return {
        "rate": load.rate or "flat-out",
        "seconds": load.seconds,
        "connections": load.connections,
        "rows_per_transaction": load.rows,
        "synchronous_commit": load.synchronous_commit,
    }


def _memory(attached: Attached) -> dict[str, float | None]:
    assert attached.system is not None
    attached.system.check()
    memory = processes.memory(attached.system.pid)
    return {"rss_mib": memory.now_mib, "peak_rss_mib": memory.peak_mib}


def _ms(samples: Iterable[float], percent: float = 50) -> float | None:
    """A percentile of `samples` (s) in ms."""
    return _finite(1e3 * percentile(sorted_samples(samples), percent))


def _finite(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None


def _transactions(dsn: str) -> int:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def _copy(dsn: str, rows: int) -> tuple[float, float]:
    """COPY `rows` numbered rows; returns when it began and when it was committed, monotonic s."""
    data = "".join(f"{number}\n" for number in range(rows))
    with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        began = time.monotonic()
        with cursor.copy("COPY live_metrics (value) FROM STDIN") as stream:
            stream.write(data)
        return began, time.monotonic()
