-- Which cluster this is and what it allows.

SELECT (SELECT system_identifier FROM pg_control_system()), pg_is_in_recovery(),
       current_setting('max_prepared_transactions')::int, pg_current_snapshot()::text,
       to_regclass('trio_bridge.checkpoint') IS NOT NULL
           AND has_schema_privilege('trio_bridge', 'USAGE')
