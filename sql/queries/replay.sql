-- One page of a replay: rows of a time range in a fixed order, each with the place where the page after it begins.
-- $1 and $2: the range, without its end. $3: most rows. From $4 on: the place of the row to begin after.

SELECT {place}, CASE WHEN octet_length(row_to_json({d})::text) <= {max_row_bytes} THEN row_to_json({d})::text END
FROM {rows} AS {d}
WHERE {within} {beyond}
ORDER BY {order} LIMIT $3::bigint
