-- What of the installation on a table works without an error message when it is wrong. $1: the table's oid.
-- Whether txid has its default; of the bell: is it there, how is it enabled, what does its function say.

SELECT EXISTS (SELECT FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
               WHERE d.adrelid = $1::oid AND a.attname = 'txid'
                 AND pg_get_expr(d.adbin, d.adrelid) ~ '^(pg_catalog\.)?pg_current_xact_id\(\)$'),
       g.tgenabled, p.prosrc, g.tgname
FROM (SELECT) AS always
LEFT JOIN (pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid AND p.proname = 'notify_new_record'
                                      AND p.pronamespace = to_regnamespace('trio_bridge'))
    ON g.tgrelid = $1::oid
ORDER BY g.tgenabled IN ('O', 'A') DESC LIMIT 1
