-- What the bridge keeps in the database: one checkpoint row per route, and the function that rings its bell.
-- Applied by the owner of the watched tables, in one transaction; may be run again at any time.

CREATE SCHEMA IF NOT EXISTS trio_bridge;

-- Whoever owns something in here can give it a trigger or another body, which would run with the rights of whoever
-- installs now, and of every writer later. So all of it must belong to a superuser, or to the role that installs (a
-- superuser trusts no other role).
DO $do$
DECLARE
    stranger pg_catalog.name;
BEGIN
    SELECT r.rolname INTO stranger
    FROM (SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname = 'trio_bridge'
          UNION ALL
          SELECT relowner FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.to_regnamespace('trio_bridge')
          UNION ALL
          SELECT proowner FROM pg_catalog.pg_proc WHERE pronamespace = pg_catalog.to_regnamespace('trio_bridge')
         ) AS o (owner)
    JOIN pg_catalog.pg_roles r ON r.oid = o.owner AND NOT r.rolsuper
    WHERE (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
       OR NOT pg_catalog.pg_has_role(o.owner, 'USAGE')
    LIMIT 1;
    IF stranger IS NOT NULL THEN
        RAISE insufficient_privilege
            USING MESSAGE = pg_catalog.format('something in schema trio_bridge belongs to role %I', stranger);
    END IF;
END
$do$;

-- The version of these objects; the bridge refuses to run on one that it does not know.
CREATE TABLE IF NOT EXISTS trio_bridge.version (
    version    integer     NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
INSERT INTO trio_bridge.version (version)
    SELECT {version} WHERE NOT EXISTS (SELECT FROM trio_bridge.version WHERE version = {version});

-- Where a route stands. Same database as the rows, so that a restore or a failover moves both together.
-- fillfactor 50: the row is rewritten up to once a second and should find room on its own page.
CREATE TABLE IF NOT EXISTS trio_bridge.checkpoint (
    name              text        PRIMARY KEY,   -- of the route
    epoch             bigint      NOT NULL DEFAULT 0,    -- counts its leaders: a writer of an older epoch is fenced off
    snapshot          pg_snapshot NOT NULL,      -- every row visible in it is acknowledged
    target            pg_snapshot,               -- inside a delta of several pages: the snapshot it works towards
    after_txid        xid8,                      -- and the last acknowledged row:
    after_key         text[],                    -- its transaction and its key
    system_identifier bigint      NOT NULL,      -- of the cluster whose transactions the snapshot names
    format            smallint    NOT NULL DEFAULT 1,
    written_at        timestamptz NOT NULL DEFAULT pg_catalog.now(),
    CHECK ((target IS NULL) = (after_txid IS NULL) AND (target IS NULL) = (after_key IS NULL))
) WITH (fillfactor = 50);

-- The bell: rings channel influx_feed only while a bridge waits for it, and carries nothing but the table's number.
-- A bridge that waits holds the gate exclusively; the trigger tries it shared. Lock and unlock stand in one expression:
-- a statement cancelled between two would leave the session holding the gate. It has no EXCEPTION block (that would open
-- a subtransaction), no SET clause, and qualifies every name, so that no search_path can lead it astray.
CREATE OR REPLACE FUNCTION trio_bridge.notify_new_record() RETURNS trigger
    LANGUAGE plpgsql SECURITY INVOKER AS $function$
BEGIN
    IF pg_catalog.pg_try_advisory_lock_shared({gate_class}, TG_RELID::pg_catalog.int4)
       AND pg_catalog.pg_advisory_unlock_shared({gate_class}, TG_RELID::pg_catalog.int4) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_catalog.pg_notify('influx_feed', TG_RELID::pg_catalog.text);
    RETURN NULL;
END
$function$;
