-- Indexes such as install makes them, whatever their name: on these columns, of rows that have a txid. With the index
-- of the parent table under which each one is.

SELECT i.indrelid::int8, n.nspname::text, x.relname::text, i.indisvalid, h.inhparent::int8, x.oid::int8
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = x.relnamespace
JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
LEFT JOIN pg_inherits h ON h.inhrelid = x.oid
WHERE i.indrelid = ANY(%(parts)s::oid[])
  AND pg_get_expr(i.indpred, i.indrelid) = '(txid IS NOT NULL)'
  AND i.indoption::text !~ '[1-9]'
  AND ARRAY(SELECT a.attname::text
            FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, place)
            LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
            ORDER BY k.place) = %(columns)s::text[]
ORDER BY x.oid
