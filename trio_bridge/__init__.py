"""Postgres rows on a Grafana panel in milliseconds: listener → decoder → sender, in one Trio nursery per route."""

__version__ = "0.1.0"
