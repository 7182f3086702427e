"""Log events → one line each on standard error, JSON or coloured, that never hold up the service.

`to_stderr` owns a daemon thread that does the writing and gets each line through a bounded queue, so whoever logs
never waits. When the other end of the pipe stops reading, closes it, or the disk is full, lines are lost, the service
goes on, and every later event says in ``lines_lost`` how many it were. Leaving the context waits a bounded time for
what is queued. Secrets show as ``********``, and a traceback shows no variables.
"""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import structlog
from structlog.typing import EventDict

from trio_bridge.config.settings import ServiceSettings

# Lines: 0.2 MB at some 200 bytes each; more than a start, a failure or a stop says (guess). Full: the line is lost.
_QUEUE_LINES: Final = 1000
# How long leaving may wait for a reader that does not read: once for a place in the queue, once for its end (guess).
_FLUSH_S: Final = 0.5
_STDERR: Final = 2


@contextmanager
def to_stderr(service: ServiceSettings, *, fd: int = _STDERR) -> Iterator[None]:
    """Configures structlog for as long as the context lasts.

    Args:
        service: the format and the least level.
        fd: the file descriptor to write to; it stays open.
    """
    lines = _Lines(fd)
    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            lines.add_loss,
            *_renderers(service, fd),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(service.log_level),
        logger_factory=lambda *_: lines,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
        lines.close()


def _renderers(service: ServiceSettings, fd: int) -> list[Any]:
    if service.log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # structlog's own choice would print the variables of each frame, secrets that were revealed included.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=os.isatty(fd), exception_formatter=plain)]


class _Lines:
    """What structlog calls a logger: takes finished lines, whatever their level, and lets the thread write them."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._queue: queue.Queue[bytes | None] = queue.Queue(_QUEUE_LINES)
        self._lock = threading.Lock()
        self._lost = 0
        self._given_up = False
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def msg(self, line: str) -> None:
        try:
            self._queue.put_nowait(line.encode("utf-8", "backslashreplace") + b"\n")
        except queue.Full:
            self._lose()

    debug = info = warning = error = critical = msg

    def add_loss(self, _logger: object, _method: str, event: EventDict) -> EventDict:
        """Structlog processor: from the first lost line on, each event tells their number."""
        if self._lost:
            event["lines_lost"] = self._lost
        return event

    def close(self) -> None:
        with suppress(queue.Full):
            self._queue.put(None, timeout=_FLUSH_S)
        self._thread.join(_FLUSH_S)
        # Should the thread be stuck in a write: after it, the descriptor may be somebody else's.
        self._given_up = True

    def _lose(self) -> None:
        with self._lock:
            self._lost += 1

    def _write_all(self) -> None:
        while not self._given_up:
            # The thread is needed when things go wrong: that there is no memory left does not end it either.
            try:
                line = self._queue.get()
                if line is None:
                    return
                self._write(line)
            except (OSError, MemoryError):
                self._lose()

    def _write(self, line: bytes) -> None:
        while line:
            try:
                line = line[os.write(self._fd, line) :]
            except BlockingIOError:
                # A terminal or pipe shared with a program that made it non-blocking.
                select.select([], [self._fd], [])
