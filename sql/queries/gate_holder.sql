-- Who holds the gate. $1: oid.

SELECT string_agg(pid::text, ', ') FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = {gate_class} AND objid = $1::oid AND objsubid = 2 AND granted
