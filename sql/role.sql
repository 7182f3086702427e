-- All that the bridge's role may do: read the watched table, read and update its checkpoint.

GRANT USAGE ON SCHEMA trio_bridge, {schema} TO {role};
GRANT SELECT ON {table} TO {role};
GRANT SELECT ON trio_bridge.version TO {role};
GRANT SELECT, UPDATE ON trio_bridge.checkpoint TO {role};
