-- Whether the table is there and fit for the bridge. $1: schema, $2: name.
-- A table with children by inheritance is a kind of its own: its key does not hold for what a SELECT from it returns.
-- An index serves the delta if it begins with txid and the primary key, and leaves out at most rows without a txid.

SELECT c.oid, CASE WHEN c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid)
                   THEN 'parent' ELSE c.relkind::text END,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
       c.relrowsecurity AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user)
           AND NOT (pg_has_role(current_user, c.relowner, 'USAGE') AND NOT c.relforcerowsecurity),
       EXISTS (SELECT FROM pg_index i
               JOIN pg_class x ON x.oid = i.indexrelid
               JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
               JOIN pg_index p ON p.indrelid = c.oid AND p.indisprimary
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'txid' AND a.attnum = i.indkey[0]
               WHERE i.indrelid = c.oid AND i.indisvalid AND i.indnkeyatts > p.indnkeyatts
               AND (i.indkey::int2[])[1:p.indnkeyatts] = (p.indkey::int2[])[0:p.indnkeyatts - 1]
               AND (i.indpred IS NULL OR pg_get_expr(i.indpred, c.oid) = '(txid IS NOT NULL)')),
       EXISTS (SELECT FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
               WHERE g.tgrelid = c.oid AND p.proname = 'notify_new_record'
               AND p.pronamespace = to_regnamespace('trio_bridge') AND g.tgenabled IN ('O', 'A'))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2
