-- Rows that a dump brought from another cluster carry its transaction numbers. Here they would be taken for rows of
-- transactions to come, and be read whenever the numbers come true. What a statement sees has committed, so a number that
-- its own snapshot does not see is not of this cluster. 'now': such rows are older than the bridge; 'earliest': they are new.

UPDATE {table} SET txid = CASE {start} WHEN 'earliest' THEN pg_catalog.pg_current_xact_id() END
WHERE txid >= pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())
  AND NOT pg_catalog.pg_visible_in_snapshot(txid, pg_catalog.pg_current_snapshot());
