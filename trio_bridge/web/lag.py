"""How far behind a route is. Pure.

Nobody can count rows that were committed and not read without reading them, but it is known when the last delta began
whose rows are all acknowledged: everything committed by then is at Grafana. Deltas run twice a second at least, so the
figure is small while all is well and grows by a second a second while either side is away.
"""

from __future__ import annotations

import math

from trio_bridge.route import Route


def lag_s(route: Route, now: float) -> float:
    """No row committed longer ago than this, and since the program began, is missing at Grafana.

    Args:
        route: to look at.
        now: monotonic seconds.

    Returns:
        Seconds; NaN: nobody knows, because another replica leads, or the source is a channel, which keeps nothing.
    """
    if route.status.elsewhere or not route.is_table:
        return math.nan
    since = route.status.complete_at
    return max(0.0, now - (route.created_at if since is None else since))
