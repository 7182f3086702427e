-- What install must know of a table: its kind, its primary key in order, the type of txid, and whether the default
-- of txid and the trigger are in place.

SELECT c.oid::int8,
       CASE WHEN c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid) THEN 'parent'
            WHEN c.relispartition THEN 'partition' ELSE c.relkind::text END,
       ARRAY(SELECT a.attname::text
             FROM pg_index i
             CROSS JOIN unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k (attnum, place)
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
             WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.place),
       (SELECT format_type(atttypid, NULL) FROM pg_attribute
        WHERE attrelid = c.oid AND attname = 'txid' AND NOT attisdropped),
       EXISTS (SELECT FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
               WHERE d.adrelid = c.oid AND a.attname = 'txid'
               AND pg_get_expr(d.adbin, d.adrelid) = 'pg_current_xact_id()'),
       EXISTS (SELECT FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
               WHERE g.tgrelid = c.oid AND g.tgname = 'trio_bridge_bell' AND g.tgenabled IN ('O', 'A')
               AND p.proname = 'notify_new_record' AND p.pronamespace = to_regnamespace('trio_bridge'))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s
