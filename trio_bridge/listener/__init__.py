"""First stage: rows out of Postgres, page by page, by a thread that owns the one connection of its route.

`stage` is the Trio side; `table_source` and `channel_source` run in the thread, `source` is what they share, `modes`
decides when to ask.
"""
