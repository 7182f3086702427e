"""A duration as people write it → seconds.

    90s  15m  2h  1d  1.5h      a number and its unit
    90                          a number alone: seconds

Pure. A day has 24 hours; there is no month, because nobody agrees how long one is.
"""

from __future__ import annotations

import math
import re

from trio_bridge.errors import ConfigError

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)")


def parse_duration(duration: str | float) -> float:
    """Seconds.

    Raises:
        ConfigError: it is something else, or not above zero.
    """
    if isinstance(duration, str):
        found = _DURATION.fullmatch(duration)
        seconds = float(found[1]) * _SECONDS[found[2]] if found else math.nan
    else:
        seconds = float(duration)
    if not (0 < seconds < math.inf):
        raise ConfigError('write a duration above zero: "90s", "15m", "2h", "1d", or a number of seconds')
    return seconds
