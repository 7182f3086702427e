"""Faults of Grafana behind the socket."""

from __future__ import annotations

from tests.faults.fault import Fault, Group

GROUP = Group(
    "Grafana",
    {
        76: Fault("Grafana restarts in the middle of rows"),
        77: Fault("one line of a message does not parse"),
        78: Fault("Grafana answers pings and publishes nothing"),
        79: Fault("a name that nobody can subscribe to"),
        80: Fault("names without end"),
        81: Fault("the Redis of an HA Grafana is down: publishing fails"),
        82: Fault("the token is revoked while connected"),
    },
)
