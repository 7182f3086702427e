-- A partition's index joins the index of its parent, which is valid once all have.

DO $do$
DECLARE
    parent_index regclass;
BEGIN
    SELECT i.indexrelid INTO parent_index
    FROM pg_catalog.pg_inherits h
    JOIN pg_catalog.pg_index i ON i.indrelid = h.inhparent
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE h.inhrelid = {child}::pg_catalog.regclass AND a.attname = 'txid';
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_inherits
                   WHERE inhrelid = {child_index_text}::pg_catalog.regclass) THEN
        EXECUTE pg_catalog.format('ALTER INDEX %s ATTACH PARTITION %s', parent_index, {child_index_text}::pg_catalog.regclass);
    END IF;
END
$do$;
