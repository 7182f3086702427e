-- Of the partitioned table alone, in the catalogue only: the indexes of its partitions come under it one by one, and
-- every partition that is added later gets one by itself.

SET LOCAL lock_timeout = '5s';
CREATE INDEX IF NOT EXISTS {index} ON ONLY {table} (txid, {key}) WHERE txid IS NOT NULL;
