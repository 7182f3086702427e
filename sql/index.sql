-- The order in which the delta reads. Partial: rows older than the bridge cost nothing.

CREATE INDEX {concurrently} IF NOT EXISTS {index} ON {only} {table} (txid, {key}) WHERE txid IS NOT NULL;
