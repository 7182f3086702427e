-- No transaction from here on has begun, as seen by a statement of its own.

SELECT pg_snapshot_xmax(pg_current_snapshot())
