-- The bell's cord: once per statement, no transition table.

SET LOCAL lock_timeout = '5s';
CREATE OR REPLACE TRIGGER trio_bridge_bell AFTER INSERT ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION trio_bridge.notify_new_record();
