-- The table and, where it is partitioned, all below it, the deepest first; with the parent of each.

SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, t.parentrelid::oid::int8
FROM (SELECT relid, parentrelid, level FROM pg_partition_tree(%(oid)s::oid::regclass)
      UNION ALL
      SELECT %(oid)s::oid::regclass, NULL, 0
      WHERE (SELECT relkind FROM pg_class WHERE oid = %(oid)s::oid) <> 'p' AND NOT
            (SELECT relispartition FROM pg_class WHERE oid = %(oid)s::oid)) AS t
JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY t.level DESC, n.nspname, c.relname
