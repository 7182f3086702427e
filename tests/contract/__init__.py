"""What the bridge relies on in Grafana: one set of tests for the Live stand-in, always, and for a real Grafana."""
