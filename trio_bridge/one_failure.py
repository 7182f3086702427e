"""The one exception that a group of them is about.

A nursery wraps whatever ends it in a group, together with what its end caused in the other tasks. Who decides
by type (`trio_bridge.errors`) wants the cause: a request of the operator to stop comes first, then a bug of
ours, then an error that this program raises on purpose. `trio.Cancelled` is never a cause; a group of nothing
else stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio

from trio_bridge.errors import BridgeError


def one_failure(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception in `group` to go on with."""
    causes = [error for error in _leaves(group) if not isinstance(error, trio.Cancelled)]
    return min(causes, key=_rank, default=group)


def _rank(error: BaseException) -> int:
    if not isinstance(error, Exception):
        return 0
    return 2 if isinstance(error, BridgeError) else 1


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
