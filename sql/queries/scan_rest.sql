-- The rest of the transaction in which the last page ended. Beside an equality on txid Postgres would not begin at the
-- row comparison, but read the transaction from its first row on, again for every page.

(SELECT {d}.txid, {key}, row_to_json({d})::text FROM {rows} AS {d}
 WHERE {d}.txid IS NOT NULL AND {beyond} AND {d}.txid <= {last}
   AND pg_visible_in_snapshot({d}.txid, (SELECT s FROM b)) ORDER BY {d}.txid, {key} LIMIT {limit})
