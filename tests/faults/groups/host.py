"""Faults of the machine, of its operation and of upgrades."""

from __future__ import annotations

from tests.faults.fault import Fault, Group

GROUP = Group(
    "Host, operation, upgrade",
    {
        117: Fault("the log cannot be written: disk full, pipe closed, pipe full"),
        118: Fault("the configuration file cannot be read, has a typo, or a secret that anybody may read"),
        119: Fault("the status' port is in use"),
        120: Fault("slow and hostile clients of the status"),
        121: Fault("another version of the bridge has been here"),
        122: Fault("Postgres is upgraded to another cluster with the same transaction ids"),
        123: Fault("the server's time zone changes"),
        124: Fault("a long run with a fault now and then"),
    },
)
