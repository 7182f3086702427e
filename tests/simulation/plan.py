"""What one seed stands for: settings, limits, a world with its latencies, writers, and a random subset of the faults.

Swarm testing: a schedule with every fault at once finds less than many schedules of which each leaves most out (Groce
et al., "Swarm Testing", 2012). So the seed draws first which faults exist at all and how often something happens, then
everything else. Pure: a seed in, a frozen plan out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

FAULTS: Final = (
    # Postgres
    "terminate_backend",
    "half_open",
    "lose_packet",
    "unlisten",
    "discard_all",
    "crash",
    "failover",
    "restart_server",
    "starting_up",
    "too_many_clients",
    "login_refused",
    "lock_table",
    "refuse_checkpoint",
    "hold_gate",
    "forge_bells",
    "disable_trigger",
    "slow_network",
    "no_name",
    # The bridge
    "kill_bridge",
    "freeze_bridge",
    "stop_bridge",
    "flip_mode",
    # Grafana
    "cut_push",
    "close_push",
    "mute",
    "slow_reader",
    "silence_pongs",
    "drop_pongs",
    "delay_pongs",
    "refuse_dials",
    "refuse_upgrades",
    "restart_grafana",
    "stray_pong",
    "flood_pings",
    "say",
)
"""By the names of the methods in `tests.simulation.faults`."""

LINE_BYTES: Final = 90
"""About what a row of the table is as JSON, or as a line."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One schedule.

    Attributes:
        seed: everything else follows from it.
        chaos_s: virtual seconds of writers and faults.
        rows: least number of rows that are committed.
        replicas: of the bridge.
        faults: those that may happen, with how often each is drawn relative to the others.
        fault_every_s: mean time between two.
        writers: how many.
        row_burst: mean rows of a statement.
        bulk_rows: of a bulk transaction, at most.
        think_s: mean pause of a writer inside a transaction.
        asynchronous: share of the commits that do not wait for the disk.
        trigger: whether the table has its trigger at the start.
        prepares: ``max_prepared_transactions``.
        earliest: whether the route begins at the table's first row.
        postgres_s: one way to Postgres, least.
        grafana_s: one way to Grafana, least.
        service_s: Grafana's time for a message, mean.
        message_interval_ms: setting.
        heartbeat_s: setting.
        history_rows: setting.
        keyframe_interval_s: setting.
        ack_timeout_s: setting.
        connect_timeout_s: setting.
        max_unacked_bytes: setting.
        restart_max_s: setting.
        first_page_rows: limit of the delta.
        page_rows: limit of the delta.
        page_bytes: limit of the delta.
        message_bytes: limit of a message.
        buffer_bytes: what lies between the bridge and Grafana; with little a send blocks as soon as nobody reads.
        time_index: whether the table has an index on its time.
        lull_s: so long rows come fast, so long hardly any: then bells make the deltas; 0: no lulls.
    """

    seed: int
    chaos_s: float
    rows: int
    replicas: int
    faults: dict[str, float]
    fault_every_s: float
    writers: int
    row_burst: float
    bulk_rows: int
    think_s: float
    asynchronous: float
    trigger: bool
    prepares: int
    earliest: bool
    postgres_s: float
    grafana_s: float
    service_s: float
    message_interval_ms: int
    heartbeat_s: float
    history_rows: int
    keyframe_interval_s: float
    ack_timeout_s: float
    connect_timeout_s: float
    max_unacked_bytes: int
    restart_max_s: float
    first_page_rows: int
    page_rows: int
    page_bytes: int
    message_bytes: int
    buffer_bytes: int
    time_index: bool
    lull_s: float

    @property
    def converge_s(self) -> float:
        """Within so long after the last fault and the last row everything is delivered.

        The bridge waits up to a minute where its credentials were refused. Else it notices a dead Grafana within the
        acknowledgement's deadline, a dead Postgres within three heartbeats, connects within the deadline for that, for
        each replica that may be dead, and waits up to `restart_max_s` in between; Postgres lets go of a dead leader
        after 5 s. And then there may be all the rows to send, in pages and messages as small as the plan has them.
        """
        slow_s = 65.0 if {"refuse_upgrades", "close_push"} & set(self.faults) else 0.0
        dead_s = self.ack_timeout_s + 2 * self.connect_timeout_s + 3 * self.restart_max_s + 20.0
        pages = self.rows / min(self.page_rows, self.page_bytes / LINE_BYTES)
        messages = self.rows * LINE_BYTES / min(self.message_bytes, 4_096)
        backlog_s = pages * 6 * self.postgres_s + messages * (6 * self.grafana_s + 2 * self.service_s)
        # Three pages may be ahead of the socket; where they do not fill a message, it waits for its time.
        backlog_s += pages / 3 * self.message_interval_ms / 1_000
        return slow_s + dead_s + 2 * backlog_s


def plan_of(seed: int) -> Plan:
    """The plan of `seed`."""
    rng = random.Random(f"plan {seed}")
    pick = rng.choice
    history_rows = pick((0, 0, 5, 50, 300))
    grafana_s = pick((0.0001, 0.0005, 0.005, 0.05))
    ack_timeout_s = pick((1.0, 3.0, 10.0))
    # A line must carry the least window, 4 KiB, well within the deadline of a ping: slower ones are not promised.
    least_buffer_bytes = int(grafana_s * max(80_000, 160_000 / ack_timeout_s))
    return Plan(
        seed=seed,
        chaos_s=rng.uniform(4.0, 12.0),
        rows=rng.randint(1_000, 1_400),
        replicas=pick((1, 1, 1, 2, 2, 3)),
        # One schedule in ten has none: there nothing may come twice.
        faults={} if rng.random() < 0.1 else _subset(rng),
        fault_every_s=pick((0.3, 1.0, 1.0, 2.0)),
        writers=rng.randint(1, 6),
        row_burst=pick((1.0, 3.0, 10.0)),
        bulk_rows=pick((0, 0, 100, 600)),
        think_s=pick((0.001, 0.02, 0.3, 2.0)),
        asynchronous=pick((0.0, 0.0, 0.5, 1.0)),
        trigger=rng.random() < 0.8,
        prepares=0 if rng.random() < 0.9 else 10,
        earliest=rng.random() < 0.5,
        postgres_s=pick((0.0001, 0.0005, 0.005, 0.05)),
        grafana_s=grafana_s,
        service_s=pick((0.0, 0.0005, 0.01)),
        message_interval_ms=pick((0, 20, 100, 100, 100, 300, 1_000)),
        heartbeat_s=pick((0.2, 0.5, 0.5, 1.5)),
        history_rows=history_rows,
        keyframe_interval_s=pick((0.1, 0.5, 2.0)),
        ack_timeout_s=ack_timeout_s,
        connect_timeout_s=pick((1.0, 3.0, 10.0)),
        # Below what the settings allow where no keyframe has to fit: a thousand rows would hardly reach the bound.
        max_unacked_bytes=pick((65_536, 262_144) if history_rows else (2_000, 8_000, 65_536)),
        restart_max_s=pick((0.2, 1.0, 1.0, 3.0)),
        first_page_rows=pick((1, 3, 16, 16)),
        page_rows=pick((10, 40, 300, 2_000)),
        page_bytes=pick((2_000, 20_000, 1 << 20)),
        message_bytes=pick((400, 4_000, 65_536, 65_536)),
        buffer_bytes=max(least_buffer_bytes, pick((256, 4_096, 65_536, 2_900_000))),
        time_index=rng.random() < 0.5,
        lull_s=pick((0.0, 1.5, 3.0)),
    )


def _subset(rng: random.Random) -> dict[str, float]:
    share = rng.choice((0.08, 0.2, 0.5))
    chosen = [name for name in FAULTS if rng.random() < share] or [rng.choice(FAULTS)]
    return {name: rng.choice((1.0, 1.0, 4.0)) for name in chosen}
