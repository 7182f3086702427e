-- What the bridge must know of a table. One row per column in order of position; the rest repeats.
-- A domain is followed down to its base type. The key's types are written without a length: a character(3) or bit(3)
-- named without one would be cut to one. Columns that the key's index merely includes are no part of it.
-- $1: the table's oid.

WITH RECURSIVE base AS (
    SELECT a.attnum, a.atttypid AS type FROM pg_attribute a
    WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
    SELECT b.attnum, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT a.attname, t.typname, format_type(t.oid, -1),
       array_position((i.indkey::int2[])[0:i.indnkeyatts - 1], a.attnum)
FROM pg_attribute a
JOIN base b ON b.attnum = a.attnum
JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd'
LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = $1::oid
ORDER BY a.attnum
