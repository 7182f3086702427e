-- Take the checkpoint over: the next epoch fences off whoever led before. $1: the route's name.

UPDATE trio_bridge.checkpoint SET epoch = epoch + 1 WHERE name = $1
RETURNING epoch, snapshot, target, after_txid, array_to_json(after_key), system_identifier, format
