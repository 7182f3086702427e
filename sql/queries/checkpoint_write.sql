-- Advance the checkpoint, unless somebody else leads now. $1: name, $2: epoch, $3 to $6: the position.

UPDATE trio_bridge.checkpoint
SET snapshot = $3::pg_snapshot, target = $4::pg_snapshot, after_txid = $5::xid8, after_key = $6::text[], written_at = now()
WHERE name = $1 AND epoch = $2::bigint
RETURNING epoch
