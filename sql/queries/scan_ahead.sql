-- Rows of transactions that started after the position's snapshot.

(SELECT {d}.txid, {key}, row_to_json({d})::text FROM {rows} AS {d}
 WHERE {d}.txid IS NOT NULL AND {beyond} AND {d}.txid < pg_snapshot_xmax((SELECT s FROM b))
   AND pg_visible_in_snapshot({d}.txid, (SELECT s FROM b)) ORDER BY {d}.txid, {key} LIMIT {limit})
