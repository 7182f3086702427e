"""Defects in what outlives a run of a route, who may have one, and how it ends."""

from __future__ import annotations

from typing import Any, Final

from tests.simulation.defects.planting import Defect, Edit
from trio_bridge.ledger import Ledger
from trio_bridge.listener import table_source
from trio_bridge.listener.modes import Pulse
from trio_bridge.listener.stage import Line
from trio_bridge.listener.table_source import TableSource, _Run
from trio_bridge.route import Route
from trio_bridge.sender.stage import _Sender


class Kept:
    """What a program that forgets nothing remembers for a route, which its status stands for."""

    def __init__(self) -> None:
        self._kept: list[tuple[Any, Any]] = []

    def put(self, status: Any, thing: Any) -> Any:
        """Remember."""
        self._kept = [(other, old) for other, old in self._kept if other is not status]
        self._kept.append((status, thing))
        return thing

    def get(self, status: Any, otherwise: Any) -> Any:
        """Recall."""
        return next((thing for other, thing in self._kept if other is status), otherwise)


class KeptFeedback(Kept):
    """The marks that the sender has told, from run to run."""

    def carry(self, line: Line) -> Line:
        """A new run's line begins where the old one ended."""
        old = self.get(line.status, line.feedback)
        line.feedback.sent_mark, line.feedback.acked_mark = old.sent_mark, old.acked_mark
        self.put(line.status, line.feedback)
        return line


DEFECTS: Final = (
    Defect(
        "a position kept across a reconnect",
        "We know where we were: the connection broke, not the program.",
        (
            Edit(
                _Run,
                "__init__",
                "self._position = position",
                "self._position = _kept.get(line.status, position)",
                {"_kept": Kept},
            ),
            Edit(
                _Run,
                "_read_page",
                "self._position = delta.position",
                "self._position = _kept.put(self._line.status, delta.position)",
            ),
        ),
    ),
    Defect(
        "acknowledgements of the run before accepted",
        "A mark that was acknowledged stays acknowledged.",
        (
            Edit(
                Route,
                "_run_stages",
                "Line(self.status)",
                "_kept.carry(Line(self.status))",
                {"_kept": KeptFeedback},
            ),
            Edit(_Run, "_save", "self._positions[mark]", "self._positions[min(mark, self._pulse.last_mark)]"),
        ),
    ),
    Defect(
        "the last batches sent again by the next run",
        "What may not have arrived must be repeated.",
        (
            Edit(
                _Sender,
                "_take_in",
                "async for batch in batches:",
                "sent = _kept.put(self._ledger, _kept.get(self._ledger, []))\n"
                "for batch in sent:\n"
                "    self._outbox.add(batch)\n"
                "async for batch in batches:\n"
                "    sent[:] = [*sent[-2:], batch]",
                {"_kept": Kept},
            ),
        ),
    ),
    Defect(
        "a heartbeat that cannot fail",
        "The kernel will tell when a connection is dead.",
        (
            Edit(
                TableSource,
                "__init__",
                "self._answer_s = HEARTBEATS_TO_DEATH * settings.heartbeat_s",
                "self._answer_s = 1e9",
            ),
        ),
    ),
    Defect(
        "the leader's lock not asked",
        "Who has the configuration may run.",
        (Edit(table_source, "wait_leader", 'line.status.elsewhere = led != "t"', 'led = "t"'),),
    ),
    Defect(
        "a drain that only reads no more",
        "What is on its way arrives by itself.",
        (
            Edit(
                Pulse,
                "_decide_drain",
                "if demand.acked_mark == self._last_mark == self._saved_mark:",
                "if True:",
            ),
        ),
    ),
    Defect(
        "a sender that leaves before the last pong",
        "All is written, so all is done.",
        (
            Edit(
                _Sender,
                "_pump",
                "if self._ended and not self._outbox and self._in_flight.settled:",
                "if self._ended and not self._outbox:",
            ),
        ),
    ),
    Defect(
        "the ledger forgets what was pending",
        "A new run starts with new books.",
        (Edit(Ledger, "run_ended", "self._returned += self._pending", "pass"),),
    ),
    Defect(
        "the window not filled at the start",
        "Panels fill up as rows come.",
        (Edit(Route, "_make_keyframes", "keyframes.add(shown)", "pass"),),
    ),
)
