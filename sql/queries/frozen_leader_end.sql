-- End that session, if it is still the same one and has done nothing since. $1: pid, $2: backend_start, $3: state_change.

SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE pid = $1::int4 AND backend_start = $2::timestamptz AND state_change = $3::timestamptz AND wait_event = 'ClientWrite'
