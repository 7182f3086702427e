-- How many rows a replay has before it. Parameters as there.

SELECT count(*)::text FROM {rows} AS {d} WHERE {within} {beyond}
