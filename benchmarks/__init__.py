"""How far ahead of what a user would pick instead, and how near to the limit: ``python -m benchmarks --help``.

A case starts a PostgreSQL (fsync on), a lean sink in the place of Grafana, one system under test and its writers, each
as processes of their own, and turns what they log into figures. Ratios between systems of one run are what counts;
absolute times belong to the machine. Nothing of the product is changed or imported for a measurement but
`EmbeddedPostgres` and `install`: the systems are run as their users run them.
"""
