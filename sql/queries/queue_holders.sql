-- Sessions that can keep the notification queue from emptying, the three oldest: a listener takes nothing in while it is
-- in a transaction, or while its client does not read. Postgres does not tell who listens, and of other roles' sessions
-- this much only to members of pg_read_all_stats.

SELECT string_agg(pid::text, ', ' ORDER BY since)
FROM (SELECT pid, coalesce(xact_start, state_change) AS since FROM pg_stat_activity
      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND (xact_start IS NOT NULL OR wait_event = 'ClientWrite')
      ORDER BY since LIMIT 3) AS oldest
