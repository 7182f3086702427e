"""Defects in how the listener learns that there is something to read."""

from __future__ import annotations

from typing import Final

from tests.simulation.defects.planting import Defect, Edit, Entry
from trio_bridge.listener.modes import TRANSITIONS, Event, Mode, Pulse
from trio_bridge.listener.table_source import TableSource

_BELLS_ONLY: Final = Defect(
    "deltas on bells only",
    "Every row rings.",
    (Edit(Pulse, "_wanted_at", "self._delta_at + min(gap_s, self._heartbeat_s)", "self._delta_at + gap_s"),),
)

DEFECTS: Final = (
    _BELLS_ONLY,
    Defect(
        "no arming",
        "From the moment the gate is ours every transaction rings.",
        (
            *_BELLS_ONLY.changes,
            Entry(TRANSITIONS, (Mode.POLL, Event.QUIET), Mode.NOTIFY),
        ),
        beyond=_BELLS_ONLY,
    ),
    Defect(
        "no LISTEN",
        "The trigger rings, so we hear it.",
        (
            *_BELLS_ONLY.changes,
            Edit(
                TableSource,
                "_deliver",
                'session.query(f"LISTEN {BELL_CHANNEL}", timeout_s=patience_s)',
                "pass",
            ),
        ),
    ),
)
