"""The program: every route in one nursery, the signals, and what the exit code says.

SIGTERM or SIGINT: no more rows are taken in; what has been read is sent, acknowledged and checkpointed, within
``drain_timeout_s``; exit 0, or 1 with a line that says how many rows Grafana had not acknowledged (they stay in
the table). A second signal ends at once. Routes do not touch each other, except that one which cannot be
configured ends the start.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from trio_bridge.config.listen import parse_listen
from trio_bridge.config.settings import Settings
from trio_bridge.errors import ConfigError
from trio_bridge.listener.share import Share
from trio_bridge.one_failure import one_failure
from trio_bridge.outside import OUTSIDE, Outside
from trio_bridge.route import Route
from trio_bridge.web.app import serve_status


@dataclass(slots=True)
class Service:
    """A running service, for whoever started it.

    Attributes:
        routes: in the order of the settings.
        stop: set it for a graceful end.
        url: where its status is served; None: nowhere.
    """

    routes: Sequence[Route]
    stop: trio.Event
    url: str | None = None

    @property
    def pending(self) -> int:
        """Rows that were read and are not acknowledged."""
        return sum(route.ledger.statistics().pending for route in self.routes)


def main(settings: Settings) -> int:
    """Run until a signal says otherwise; returns the exit code."""
    return trio.run(partial(_run_until_signal, settings))


async def run_service(
    settings: Settings,
    *,
    outside: Outside = OUTSIDE,
    task_status: trio.TaskStatus[Service] = trio.TASK_STATUS_IGNORED,
) -> int:
    """Run all routes until `Service.stop` is set and they are drained, or the time for it is over.

    Args:
        settings: of the whole program.
        outside: what its routes meet outside of it.
        task_status: started at once.

    Returns:
        How many rows had been read and were not acknowledged; 0 is a clean end.

    Raises:
        ConfigError: a route cannot work until the operator acts.
    """
    log: FilteringBoundLogger = structlog.get_logger()
    share = Share(len(settings.route))
    service = Service([Route(settings, route, log, outside, share) for route in settings.route], trio.Event())
    listen = parse_listen(settings.http.listen)
    closing = trio.Event()
    left = 0
    try:
        async with trio.open_nursery() as beside:
            if listen is not None:
                service.url = await beside.start(
                    partial(serve_status, service.routes, service.stop, closing, listen, log=log)
                )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    _limit_drain, service.stop, settings.service.drain_timeout_s, nursery.cancel_scope
                )
                task_status.started(service)
                async with trio.open_nursery() as routes:
                    for route in service.routes:
                        routes.start_soon(route.run, service.stop)
                nursery.cancel_scope.cancel()
            closing.set()
    except BaseExceptionGroup as group:
        failure = one_failure(group)
        if isinstance(failure, ConfigError):
            raise failure from None
        raise
    finally:
        # Of a run that failed while it was drained, the ledger has given them back to the table.
        left = service.pending + sum(route.left for route in service.routes)
    if left:
        log.warning(
            "not_drained", unacknowledged=left, effect="they stay in the table and are sent at the next start"
        )
    else:
        log.info("drained")
    return left


async def _limit_drain(stop: trio.Event, timeout_s: float, scope: trio.CancelScope) -> None:
    await stop.wait()
    scope.deadline = trio.current_time() + timeout_s
    await trio.sleep_forever()


async def _run_until_signal(settings: Settings) -> int:
    exit_code = 0

    async def serve(task_status: trio.TaskStatus[Service]) -> None:
        nonlocal exit_code
        exit_code = 1 if await run_service(settings, task_status=task_status) else 0
        nursery.cancel_scope.cancel()

    log: FilteringBoundLogger = structlog.get_logger()
    try:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                service = await nursery.start(serve)
                async for number in signals:
                    name = signal.Signals(number).name
                    if service.stop.is_set():
                        log.warning("stopping_at_once", signal=name, unacknowledged=service.pending)
                        exit_code = 1
                        nursery.cancel_scope.cancel()
                    else:
                        log.info("stopping", signal=name)
                        service.stop.set()
    except BaseExceptionGroup as group:
        failure = one_failure(group)
        if isinstance(failure, ConfigError):
            raise failure from None
        raise
    return exit_code
