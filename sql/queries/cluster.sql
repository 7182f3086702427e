-- Which cluster this is and what it allows. The timeline counts promotions; right after one it stands in the end of the
-- recovery, and only with the next checkpoint of the server among those.

SELECT (SELECT system_identifier FROM pg_control_system()), pg_is_in_recovery(),
       current_setting('max_prepared_transactions')::int,
       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'trio_bridge' AND c.relname = 'version'
               AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')),
       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'trio_bridge' AND c.relname = 'checkpoint'
               AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'UPDATE')),
       greatest((SELECT timeline_id FROM pg_control_checkpoint()),
                (SELECT min_recovery_end_timeline FROM pg_control_recovery()))
