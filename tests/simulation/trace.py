"""What happened in a schedule, in order: one line each, with the virtual second. The same seed gives the same bytes.

Kept while the schedule runs and rendered only when somebody asks. The program's own log lines are a part of it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
import trio


class Trace:
    """See the module.

    Attributes:
        crashes: log lines of failures that the program did not expect.
    """

    def __init__(self) -> None:
        self._lines: list[tuple[float, str, str, Mapping[str, object]]] = []
        self.crashes: list[str] = []

    def note(self, who: str, what: str, **details: object) -> None:
        """Something happened now."""
        self._lines.append((trio.current_time(), who, what, details))

    def render(self) -> str:
        """All of it."""
        return "".join(_line(*line) + "\n" for line in self._lines)

    @contextmanager
    def of_the_program(self) -> Iterator[None]:
        """While open, what the program logs is noted here and nowhere else."""
        before = structlog.get_config()
        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, self._take],
            wrapper_class=structlog.make_filtering_bound_logger("info"),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.configure(**before)

    def _take(self, _logger: object, level: str, event: MutableMapping[str, Any]) -> str:
        who = f"bridge {event.pop('replica', '?')}"
        what = event.pop("event")
        failure = event.pop("exc_info", None)
        event.pop("route", None)
        if failure is not None:
            event["failure"] = repr(failure)
            self.crashes.append("".join(traceback.format_exception(failure)))
        self.note(who, f"{level}: {what}", **event)
        raise structlog.DropEvent


def _line(at: float, who: str, what: str, details: Mapping[str, object]) -> str:
    told = " ".join(f"{name}={value}" for name, value in details.items())
    return f"{at:11.6f}  {who:<10} {what} {told}".rstrip()
