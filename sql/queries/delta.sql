-- The delta: rows that the position's snapshot had not seen and its target sees, in (txid, key) order, one page.
--
-- One plain statement in autocommit at READ COMMITTED: inside a transaction, or with an older snapshot, an ALTER TABLE
-- that rewrites the table while we wait for its lock would show us an empty table. Its first row carries the target.
-- Its scans: the rest of the transaction in which the last page ended, transactions that were in progress at the
-- snapshot, and those that came later; a page has only those that it still needs, and stays as quick as the first.

WITH b AS MATERIALIZED (SELECT coalesce($1::pg_snapshot, pg_current_snapshot()) AS s)
SELECT NULL::text, {no_key}, (SELECT s FROM b)::text
UNION ALL
SELECT q.txid::text, {key_text}, CASE WHEN octet_length(q.r) <= {max_row_bytes} THEN q.r END
FROM (SELECT * FROM ({scans}) AS u LIMIT {limit}) AS q(txid, {key_names}, r)
