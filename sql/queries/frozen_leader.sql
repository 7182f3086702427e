-- The leader's session, if Postgres waits for its client to take something in, and the client is a process of the same
-- machine: no network can be slow in between. $1: second key of the leader's lock.

SELECT a.pid, a.backend_start, a.state_change
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = {leader_class} AND l.objid = $1::int4::oid AND l.objsubid = 2 AND l.granted
  AND a.client_addr IS NULL AND a.wait_event = 'ClientWrite'
