-- What nobody notices until it hurts: a notification queue that fills up, a LISTEN that is gone, and an old transaction
-- that writes. The oldest such one is the snapshot's xmin, unless that is its xmax: then there is none. $1: our channel.

SELECT pg_notification_queue_usage(),
       EXISTS (SELECT FROM pg_listening_channels() AS channel WHERE channel = $1),
       nullif(pg_snapshot_xmin(s), pg_snapshot_xmax(s)) FROM pg_current_snapshot() AS s
