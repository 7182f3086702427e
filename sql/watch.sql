-- The position column. Two clauses, so that rows which are already there keep NULL: they are older than the bridge.
-- Catalogue only, no rewrite; it waits for running transactions on the table, but never longer than lock_timeout.
-- The first position is written in the same transaction, so that no row falls between the two.

SET LOCAL lock_timeout = '5s';
ALTER TABLE {table}
    ADD COLUMN IF NOT EXISTS txid xid8,
    ALTER COLUMN txid SET DEFAULT pg_catalog.pg_current_xact_id();
