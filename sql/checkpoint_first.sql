-- The first position of a route: from now on ('now'), or every row that has a txid ('earliest').

INSERT INTO trio_bridge.checkpoint (name, snapshot, system_identifier)
    SELECT {name},
           CASE {start} WHEN 'earliest' THEN '3:3:'::pg_snapshot ELSE pg_current_snapshot() END,
           (SELECT system_identifier FROM pg_control_system())
    ON CONFLICT (name) DO NOTHING;
