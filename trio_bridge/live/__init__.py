"""A strict stand-in for Grafana Live, for the demo, the tests and the benchmarks; shares no code with the bridge."""
