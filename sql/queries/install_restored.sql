-- Whether rows carry transaction numbers of another cluster; see restored.sql.

SELECT EXISTS (SELECT FROM {table}
               WHERE txid >= pg_snapshot_xmin(pg_current_snapshot())
                 AND NOT pg_visible_in_snapshot(txid, pg_current_snapshot()))
