-- The last rows that have been delivered, newest first: what a panel shows before the first new row comes.
-- $1: the position's snapshot. Rows without a txid are older than the bridge; they were never delivered, but they are
-- history all the same.

SELECT {key_text}, CASE WHEN octet_length(row_to_json({d})::text) <= {max_row_bytes} THEN row_to_json({d})::text END
FROM {rows} AS {d}
WHERE {d}.txid IS NULL OR pg_visible_in_snapshot({d}.txid, $1::pg_snapshot) {or_delivered}
ORDER BY {order} LIMIT {limit}
