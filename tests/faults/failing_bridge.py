"""``python -m tests.faults.failing_bridge``: the bridge, with one fault in its own code, at a named point.

It takes the command line of ``trio_bridge``. What happens where is in the environment, as `failing` writes it:

    FAULT_POINT   a key of `POINTS`: where
    FAULT_ACT     kill | raise | block:<seconds>: what
    FAULT_ARMED   a file; as long as it is there, the next one who comes to the point removes it and fails

So it fails once, and whoever starts it again gets a sound one; and it fails when the test says so, by making the file.
The product has no hook for this: the points are patched into it here. Ends as the bridge does, if it comes to that.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final
from unittest import mock

from trio_bridge.cli import main
from trio_bridge.decoder.encoder import Encoder
from trio_bridge.grafana.push import PushConnection
from trio_bridge.listener import table_source
from trio_bridge.postgres.checkpoint import Checkpoint
from trio_bridge.postgres.session import Session
from trio_bridge.sender import stage

PROGRAM: Final = "tests.faults.failing_bridge"
REPLAY_PAGE: Final = 3


def failing(point: str, act: str, armed: Path) -> tuple[str, ...]:
    """The wrapper for `tests.chaos.bridges.BridgeProcess.start`; `armed` is the file, which the caller makes."""
    assert point in POINTS
    return "env", f"FAULT_POINT={point}", f"FAULT_ACT={act}", f"FAULT_ARMED={armed}"


def _fail() -> None:
    """If the fault is armed, it happens now."""
    try:
        Path(os.environ["FAULT_ARMED"]).unlink()
    except FileNotFoundError:
        return
    act, _, seconds = os.environ["FAULT_ACT"].partition(":")
    match act:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise RuntimeError(f"a fault on purpose: {os.environ['FAULT_POINT']}")
        case "block":
            time.sleep(float(seconds))
        case _:
            raise ValueError(act)


# A method of the product → the same with a point in it.


def _before(method: Callable[..., Any]) -> Callable[..., Any]:
    def failing_first(*args: Any, **kwargs: Any) -> Any:
        _fail()
        return method(*args, **kwargs)

    return failing_first


def _after_listen(query: Callable[..., Any]) -> Callable[..., Any]:
    def query_then_fail(self: Session, statement: str, *args: Any, **kwargs: Any) -> Any:
        rows = query(self, statement, *args, **kwargs)
        if statement.startswith("LISTEN "):
            _fail()
        return rows

    return query_then_fail


def _in_replay(read_page: Callable[..., None]) -> Callable[..., None]:
    pages = itertools.count(1)

    def read_page_then_fail(self: table_source._Run) -> None:
        read_page(self)
        # With a target it is inside of a delta of several pages.
        if self._position.target is not None and next(pages) >= REPLAY_PAGE:
            _fail()

    return read_page_then_fail


def _after_send(send: Callable[..., Any]) -> Callable[..., Any]:
    async def send_then_fail(self: PushConnection, data: bytes) -> None:
        await send(self, data)
        _fail()

    return send_then_fail


def _in_checkpoint(write: Callable[..., None]) -> Callable[..., None]:
    def write_failing(self: Checkpoint, session: Session, *args: Any, **kwargs: Any) -> None:
        flush = session._flush

        def flush_then_fail(timeout_s: float) -> None:
            flush(timeout_s)
            # The statement is on its way: the server will execute it, and nobody hears of it.
            _fail()

        with mock.patch.object(session, "_flush", flush_then_fail):
            write(self, session, *args, **kwargs)

    return write_failing


POINTS: Final[dict[str, tuple[type, str, Callable[..., Any]]]] = {
    "after LISTEN": (Session, "query", _after_listen),
    "before the first delta": (table_source._Run, "_read_page", _before),
    f"in page {REPLAY_PAGE} of a replay": (table_source._Run, "_read_page", _in_replay),
    "after send, before its pong": (PushConnection, "send", _after_send),
    "after pong, before the checkpoint": (stage._Sender, "_acknowledge", _before),
    "in the checkpoint's statement": (Checkpoint, "write", _in_checkpoint),
    "in the listener's thread": (table_source._Run, "_note_acknowledged", _before),
    "in the decoder": (Encoder, "encode", _before),
    "in the sender": (stage._Sender, "_tell_listener", _before),
}
"""Where it can fail: the method that gets the point, and how."""


if __name__ == "__main__":
    owner, name, put_in = POINTS[os.environ["FAULT_POINT"]]
    method = getattr(owner, name)
    setattr(owner, name, wraps(method)(put_in(method)))
    main()
