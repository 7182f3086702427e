"""What an operator sees of a running service, over HTTP: probes, metrics, a status page; nothing can be changed here.

    /livez /readyz     for whoever restarts containers          readiness
    /metrics           for Prometheus                           metrics
    / /events          the flow, live, for a person             page, moment
    /status.json       the same for `trio-bridge status`        moment, terminal

`serve` owns the socket and its connections, `app` says which path answers what. Everything is read from each
route's `ledger`, `status` and `vitals` when somebody asks; delivery waits for nobody here, and nothing here knows a
row's value.
"""
