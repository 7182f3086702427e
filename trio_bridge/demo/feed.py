"""An application that measures: rows into `live_metrics`, at a constant rate, until it is told to stop.

The writers' side of the picture alone, for a database that somebody else runs. What is wrong at the start (the server,
the password, the table, the rights) ends it with one sentence; once it has written, an outage is waited for, and the
rows that became due meanwhile are written afterwards. SIGTERM and SIGINT end it after the statement under way.

Owns its connections. Needs nothing but psycopg: it runs where the bridge runs.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import psycopg
import structlog
import trio
from structlog.typing import FilteringBoundLogger

from trio_bridge.demo.schedule import Schedule
from trio_bridge.demo.writer import Writer, WriterStatistics
from trio_bridge.errors import BridgeError, ConfigError, SourceError
from trio_bridge.one_failure import one_failure

_CONNECT_TIMEOUT_S = 5

_NO_ROW = """INSERT INTO public.live_metrics ("timestamp", value, sensor) SELECT now(), 0, '' LIMIT 0"""


async def feed(conninfo: str, *, rate: int, sensors: int) -> WriterStatistics:
    """Writes until a signal says otherwise; what was written.

    Args:
        conninfo: libpq connection string, with its password, of a role that may insert.
        rate: rows per second in all.
        sensors: how many take turns.

    Raises:
        ConfigError: the table is not there, or this role may not insert.
        SourceError: Postgres cannot be reached, or refused a row.
    """

    def connect() -> psycopg.Connection:
        return psycopg.connect(
            conninfo,
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_S,
            application_name="trio_bridge feed",
        )

    log: FilteringBoundLogger = structlog.get_logger()
    await trio.to_thread.run_sync(_look, connect)
    writer = Writer(connect, Schedule(time.time_ns() // 1_000, rate, sensors))
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        log.info("feeding", table="public.live_metrics", rows_per_s=rate, sensors=sensors)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(writer.run)
                async for number in signals:
                    log.info("stopping", signal=signal.Signals(number).name)
                    writer.stop()
                    break
        except BaseExceptionGroup as group:
            failure = one_failure(group)
            if isinstance(failure, psycopg.Error):
                raise _explained(failure) from None
            raise
    statistics = writer.statistics()
    log.info("fed", committed=statistics.committed, uncertain=statistics.uncertain)
    return statistics


def _look(connect: Callable[[], psycopg.Connection]) -> None:
    """Fails where a row could not be written; writes none."""
    try:
        with connect() as connection:
            connection.execute(_NO_ROW)
    except psycopg.Error as error:
        raise _explained(error) from None


def _explained(error: psycopg.Error) -> BridgeError:
    reason = " ".join((error.diag.message_primary or str(error)).split())
    match error:
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedColumn():
            return ConfigError(
                f"{reason}: run `trio-bridge install --table public.live_metrics` first, which makes it"
            )
        case psycopg.errors.InsufficientPrivilege():
            return ConfigError(f"{reason}: run GRANT INSERT ON public.live_metrics TO the role that feeds")
        case psycopg.OperationalError():
            return SourceError(f"cannot connect to postgres: {reason}")
    return SourceError(f"postgres refused a row: {reason}")
