"""Faults in what writers do with the table, and with NOTIFY."""

from __future__ import annotations

from tests.faults.fault import Fault, Group

GROUP = Group(
    "What happens in Postgres",
    {
        33: Fault("a transaction that commits long after it wrote"),
        34: Fault("rows that are rolled back, also to a savepoint"),
        35: Fault("rows written under a savepoint, then a crash"),
        36: Fault("ids out of order, with gaps, handed out in blocks, begun anew"),
        37: Fault("the same payload several times in one transaction"),
        38: Fault("two-phase commit"),
        39: Fault("rows larger than a NOTIFY may be"),
        40: Fault("a COPY of a million rows; a stranger who floods the channel with bells"),
        41: Fault("the notification queue is full, because somebody else does not read"),
        42: Fault("rows changed or deleted before they were sent"),
        43: Fault("columns dropped, renamed or given another type while rows flow"),
        44: Fault("a backlog whose delivery is cut off again and again"),
        45: Fault("rows and checkpoint restored from a dump into another cluster"),
        46: Fault("forged notifications"),
        47: Fault("a server whose LISTEN fails on truncated transaction status"),
    },
)
