-- The order in which the delta reads. Partial: rows older than the bridge cost nothing. Writers go on meanwhile.

CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} (txid, {key}) WHERE txid IS NOT NULL;
