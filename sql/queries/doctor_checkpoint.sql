-- Where a route stands, without taking it over: whoever leads goes on. $1: the route's name.
-- greatest() passes over the target when there is none.

SELECT format, system_identifier, (SELECT system_identifier FROM pg_control_system()),
       greatest(pg_snapshot_xmax(snapshot), pg_snapshot_xmax(target)), pg_snapshot_xmax(pg_current_snapshot()),
       round(extract(epoch FROM now() - written_at))
FROM trio_bridge.checkpoint WHERE name = $1
