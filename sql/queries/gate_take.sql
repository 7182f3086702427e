-- Try the gate and, once it is ours, draw a transaction id: whoever was silent before has a smaller one. $1: oid.
-- CASE fixes the order: the id is drawn after the lock is held.

SELECT CASE WHEN pg_try_advisory_lock({gate_class}, $1::oid::int4) THEN pg_current_xact_id() END
