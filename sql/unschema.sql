-- The schema goes when no trigger calls its function any more and no route has a checkpoint.
-- Two conditions, one after the other: where there is no table, a statement that names it cannot even be planned.

DO $do$
BEGIN
    IF pg_catalog.to_regclass('trio_bridge.checkpoint') IS NOT NULL THEN
        IF NOT EXISTS (SELECT FROM trio_bridge.checkpoint)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
                           WHERE p.pronamespace = pg_catalog.to_regnamespace('trio_bridge')) THEN
            DROP SCHEMA trio_bridge CASCADE;
        END IF;
    END IF;
END
$do$;
