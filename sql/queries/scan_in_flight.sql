-- Rows of transactions that were in progress at the position's snapshot.

(SELECT {d}.txid, {key}, row_to_json({d})::text FROM {rows} AS {d}
 WHERE {d}.txid IS NOT NULL AND {d}.txid = ANY({xip})
   AND pg_visible_in_snapshot({d}.txid, (SELECT s FROM b)) ORDER BY {d}.txid, {key} LIMIT {limit})
