-- What an interrupted CREATE INDEX CONCURRENTLY left: it is kept up to date by every writer and read by nobody.

DROP INDEX CONCURRENTLY IF EXISTS {index};
