-- Which cluster this is and what it allows.

SELECT (SELECT system_identifier FROM pg_control_system()), pg_is_in_recovery(),
       current_setting('max_prepared_transactions')::int,
       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'trio_bridge' AND c.relname = 'version'
               AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')),
       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'trio_bridge' AND c.relname = 'checkpoint'
               AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'UPDATE'))
