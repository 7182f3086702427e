-- Who holds an advisory lock of ours exclusively. $1: its class, $2: its number, unsigned.

SELECT l.pid, coalesce(nullif(a.application_name, ''), 'without a name'),
       coalesce(host(a.client_addr), 'a Unix socket')
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ExclusiveLock' AND l.objsubid = 2
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = $1::oid AND l.objid = $2::oid
