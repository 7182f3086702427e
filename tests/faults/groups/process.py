"""Faults of the bridge's own process."""

from __future__ import annotations

from tests.faults.fault import Fault, Group

GROUP = Group(
    "The bridge's process",
    {
        1: Fault("kill -9 at a random moment"),
        2: Fault("kill -9 at each point where it could matter"),
        3: Fault("SIGTERM in the middle of a burst"),
        4: Fault("SIGTERM while Grafana does not answer"),
        5: Fault("a second SIGTERM or SIGINT"),
        6: Fault("frozen (SIGSTOP), then thawed"),
        7: Fault("the event loop is blocked"),
        8: Fault("the listener's thread dies of a bug"),
        9: Fault("a task of the pipeline dies of a bug"),
        10: Fault("no more memory"),
        11: Fault("no more file descriptors"),
        12: Fault("started while Postgres, Grafana or both are down"),
        13: Fault("reconnects one after the other"),
    },
)
