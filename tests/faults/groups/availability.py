"""Faults of one of several replicas."""

from __future__ import annotations

from tests.faults.fault import Fault, Group

GROUP = Group(
    "Several replicas",
    {
        102: Fault("kill -9 of the replica that leads"),
        103: Fault("SIGTERM to the replica that leads"),
        104: Fault("the replica that leads is frozen (SIGSTOP)"),
        105: Fault("the session that holds the leader's lock is terminated"),
        106: Fault("the replica that leads loses Grafana only"),
        107: Fault("two replicas believe that they lead"),
        108: Fault("a standby has another configuration"),
        109: Fault("the leader's lock through a connection pooler"),
    },
)
