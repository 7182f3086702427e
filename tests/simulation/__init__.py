r"""The whole bridge in one thread, on a virtual clock, between models of Postgres and Grafana; a seed decides all else.

Everything of the product runs as it is, from `run_service` down. What is outside of it is a model, handed over at the
product's own seam (`trio_bridge.outside.Outside`):

      writers ──▶ postgres.Cluster ◀── faults: crash, failover, locks, refusals, forged bells …
                        │
               postgres.ModelServer, network.Way    latency, loss, half-open connections
                        │  ModelSession, in the place of `Session`
    ┌───────────────────┴─────────────────────────────────────────────────────────────────────┐
    │ process.Bridge (1 to 3 replicas): killed, frozen, stopped, started anew                 │
    │   thread.Thread: TableSource, wait_leader, Pulse, Position, Checkpoint, Probe  (greenlet)│
    │   Wake, Outlet, Feedback ─▶ decoder ─▶ pace, keyframes, sender ─▶ trio-websocket        │
    └───────────────────┬─────────────────────────────────────────────────────────────────────┘
                        │  live.End, in the place of a TCP connection
               live.LiveModel ◀── faults: cut, mute, slow, silent, refusing, restarting …
                        │
              oracle.Oracle, books.Books, live.Panel: every promise, at every message and every checkpoint

    plan       a seed → settings, limits, latencies, writers, and a random subset of the faults (swarm testing)
    clock      Trio's clock: when nobody has anything to do, time jumps to the next deadline or entry of the calendar
    determinism  the process' clocks, its chance and Trio's scheduler, made functions of the seed
    world      one schedule: chaos, calm, quiet, rest, deploy, stop
    schedule   a seed → outcome and trace; `pool`, `summary`, `__main__`: thousands of them
    defects    faults of reasoning, planted in the product one by one: the schedules must find each

What is not simulated: the kernel (a frozen process' sockets stand still, its own timers do not), libpq, and SQL itself;
those are tested against real servers (`tests.chaos`, `tests.faults`, `tests.listener`), and the models against them.
"""
