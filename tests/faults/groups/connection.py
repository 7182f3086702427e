"""Faults between the bridge and Postgres."""

from __future__ import annotations

from tests.faults.fault import Fault, Group

GROUP = Group(
    "The connection to Postgres",
    {
        14: Fault("the listener's session is terminated"),
        15: Fault("kill -9 of its backend: the whole server recovers"),
        16: Fault("Postgres is stopped (fast) and started again"),
        17: Fault("Postgres crashes (immediate stop) and recovers"),
        18: Fault("failover to an asynchronous standby that had not received the last commits"),
        19: Fault("two primaries at a time"),
        20: Fault("connected to a hot standby"),
        21: Fault("a connection pooler in between"),
        22: Fault("half-open connection: packets vanish in both directions"),
        23: Fault("packets from Postgres vanish"),
        24: Fault("packets to Postgres vanish"),
        25: Fault("the LISTEN is lost, the session lives"),
        26: Fault("slow line: 300 ms, 64 kB/s"),
        27: Fault("the stream of bytes is cut at odd places"),
        28: Fault("the name is not resolved, then resolves to another address"),
        29: Fault("password changed, role locked, host rejected"),
        30: Fault("no connection left on the server"),
        31: Fault("the administrator set timeouts for every session"),
        32: Fault("TLS: expired, wrong host, unknown authority, not offered"),
    },
)
