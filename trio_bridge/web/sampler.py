"""Looks at every route once a second, remembers the last minute, and tells the moment.

So rates and quantiles are of the last seconds, the same for everybody who looks on, and there at the first look. A look
costs microseconds and reads only what the routes tell anyway.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import trio

from trio_bridge import __version__
from trio_bridge.distribution import Distribution, DistributionStatistics
from trio_bridge.ledger import LedgerStatistics
from trio_bridge.route import Route
from trio_bridge.web import readiness
from trio_bridge.web.lag import lag_s
from trio_bridge.web.moment import Duration, Moment, RouteMoment

SAMPLE_S: Final = 1.0
"""Between two looks; a person sees no more."""

RATE_SAMPLES: Final = 3
"""Rates are over this many samples: calm, and still at zero soon after the last row."""

QUANTILE_SAMPLES: Final = 10
"""Quantiles are over this many, see `trio_bridge.web.moment.Duration`."""

MINUTE_SAMPLES: Final = 60
"""What is remembered."""


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    books: LedgerStatistics
    durations: tuple[DistributionStatistics, ...]


class Sampler:
    """Looks at `routes` while it runs; `stop` is set when the service is told to stop."""

    def __init__(self, routes: Sequence[Route], stop: trio.Event) -> None:
        self._routes = routes
        self._stop = stop
        self._began_at = time.monotonic()
        self._samples = {route: deque([_sample(route)], maxlen=MINUTE_SAMPLES + 1) for route in routes}
        self._next = trio.Event()

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await trio.sleep(SAMPLE_S)
            for route, samples in self._samples.items():
                samples.append(_sample(route))
            self._next.set()
            self._next = trio.Event()

    async def wait_next(self) -> None:
        """Until there is something new to see."""
        await self._next.wait()

    def moment(self) -> Moment:
        """Now."""
        now = time.monotonic()
        routes = tuple(_moment(route, tuple(self._samples[route]), now) for route in self._routes)
        stopping = self._stop.is_set()
        return Moment(
            version=__version__,
            uptime_s=now - self._began_at,
            stopping=stopping,
            ready=not stopping and all(route.ready for route in routes),
            routes=routes,
        )


def _sample(route: Route) -> _Sample:
    return _Sample(
        time.monotonic(),
        route.ledger.statistics(),
        tuple(distribution.statistics() for distribution in _distributions(route)),
    )


def _distributions(route: Route) -> tuple[Distribution, ...]:
    vitals = route.vitals
    return vitals.bell_to_push_s, vitals.push_to_ack_s, vitals.row_age_s


def _moment(route: Route, samples: tuple[_Sample, ...], now: float) -> RouteMoment:
    status, vitals = route.status, route.vitals
    reason = readiness.why_not(route, now)
    books = route.ledger.statistics()
    last = samples[-1]
    before = samples[max(0, len(samples) - 1 - RATE_SAMPLES)]
    passed_s = last.at - before.at

    def per_s(name: str) -> float:
        change: int = getattr(last.books, name) - getattr(before.books, name)
        return change / passed_s if passed_s else 0.0

    earlier = samples[max(0, len(samples) - 1 - QUANTILE_SAMPLES)].durations
    lately = [
        distribution.statistics().since(then)
        for distribution, then in zip(_distributions(route), earlier, strict=True)
    ]
    bell_to_push, push_to_ack, row_age = (Duration(one.quantile(0.5), one.quantile(0.99)) for one in lately)
    lag = lag_s(route, now)
    return RouteMoment(
        name=route.name,
        source=route.source,
        stream=route.stream,
        phase=status.phase,
        mode=status.mode.value if status.phase in ("running", "draining") else "",
        ready=not reason,
        reason=reason,
        postgres=readiness.postgres(route, now),
        grafana=readiness.grafana(route, now),
        seen=books.seen,
        acknowledged=books.acknowledged,
        rejected=sum(books.rejected.values()),
        returned=books.returned,
        pending=books.pending,
        messages=books.messages,
        keyframes=books.keyframes,
        bytes=books.bytes,
        gaps=books.gaps,
        restarts=books.restarts,
        seen_per_s=per_s("seen"),
        acknowledged_per_s=per_s("acknowledged"),
        messages_per_s=per_s("messages"),
        bytes_per_s=per_s("bytes"),
        recent=tuple(
            later.books.acknowledged - sooner.books.acknowledged for sooner, later in pairwise(samples)
        ),
        bell_to_push=bell_to_push,
        push_to_ack=push_to_ack,
        row_age=row_age,
        lag_s=None if math.isnan(lag) else lag,
        checkpoint_age_s=0.0 if status.unsaved_since is None else now - status.unsaved_since,
        postgres_age_s=None if status.answered_at is None else now - status.answered_at,
        grafana_age_s=None if vitals.grafana_answered_at is None else now - vitals.grafana_answered_at,
        queue_usage=status.queue_usage,
        oldest_transaction_s=0.0 if status.held_since is None else now - status.held_since,
        unacknowledged_bytes=vitals.unacknowledged_bytes.now,
        waiting=tuple(filling.now for filling in route.fillings().values()),
    )
