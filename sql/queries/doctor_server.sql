-- What the doctor looks at on the server, in one glance. What the role, the database or the cluster set as a default is
-- read where it is written down: in our own session our own settings hide it.

SELECT pg_is_in_recovery(), inet_server_addr() IS NULL, current_user,
       current_setting('default_transaction_isolation'), current_setting('idle_session_timeout'),
       current_setting('max_prepared_transactions')::int, pg_notification_queue_usage(),
       (SELECT string_agg(s.setting, ', ' ORDER BY s.setting)
        FROM pg_db_role_setting d, unnest(d.setconfig) AS s (setting)
        WHERE d.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
          AND d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())))
