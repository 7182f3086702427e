"""Which exception of a group counts."""

import pytest
import trio

from trio_bridge.errors import SinkError, SourceError
from trio_bridge.one_failure import one_failure


@pytest.mark.parametrize("order", [1, -1])
def test_the_cause_comes_before_its_consequences(order):
    """A stop by the operator, then a bug, then an error on purpose, however deep and in whatever order they stand."""
    stop, bug, sink = KeyboardInterrupt(), ZeroDivisionError(), SinkError("x")
    assert one_failure(BaseExceptionGroup("", [sink, BaseExceptionGroup("", [bug, stop])][::order])) is stop
    assert one_failure(ExceptionGroup("", [ExceptionGroup("", [sink]), bug][::order])) is bug
    assert one_failure(ExceptionGroup("", [sink])) is sink


def test_the_first_of_equals_counts():
    """Of two errors on purpose the first one is it."""
    first = SourceError("x")
    assert one_failure(ExceptionGroup("", [first, SinkError("y")])) is first


async def test_a_cancellation_is_no_cause():
    """Cancellations beside a failure are dropped; alone they stay a group, for the scope that they belong to."""
    cancelled = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as error:
            cancelled.append(error)
            raise
    sink = SinkError("x")
    assert one_failure(BaseExceptionGroup("", [*cancelled, sink])) is sink
    alone = BaseExceptionGroup("", cancelled)
    assert one_failure(alone) is alone
