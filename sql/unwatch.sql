-- The table as it was: the index goes with its column.

SET LOCAL lock_timeout = '5s';
DROP TRIGGER IF EXISTS trio_bridge_bell ON {table};
ALTER TABLE {table} DROP COLUMN IF EXISTS txid;
