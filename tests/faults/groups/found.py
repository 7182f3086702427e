"""Faults that nobody would have thought of: each once lost rows, or time, when the algorithm was tried."""

from __future__ import annotations

from tests.faults.fault import Fault, Group

GROUP = Group(
    "Found while the algorithm was tried",
    {
        125: Fault("the table is rewritten while the delta waits for it, under another default isolation"),
        126: Fault("a crash after which transaction ids are used again"),
        127: Fault("writers cancelled inside the trigger"),
        128: Fault("the gate is held by a stranger"),
        129: Fault("row-level security hides rows from the bridge's role"),
        130: Fault("a partition with rows is attached; one is detached and comes back"),
        131: Fault("a bell rings while another statement runs"),
        132: Fault("the mode flips at random"),
    },
)
