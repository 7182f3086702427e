-- An example for channel routes: the row itself travels as the payload. Simple and quick, with limits that a table
-- route does not have: what is sent while nobody listens is lost, the INSERT fails when the payload reaches 8,000
-- bytes, and every commit queues for one lock. Where table routes ring influx_feed too, give the payloads a channel of
-- their own: a bell is not a row, and the channel route would count it as rejected.

CREATE OR REPLACE FUNCTION public.notify_new_record() RETURNS trigger
    LANGUAGE plpgsql AS $function$
BEGIN
    PERFORM pg_catalog.pg_notify('influx_feed', pg_catalog.json_build_object(
        'timestamp', NEW."timestamp", 'value', NEW.value)::pg_catalog.text);
    RETURN NULL;
END
$function$;

CREATE OR REPLACE TRIGGER live_metrics_payload AFTER INSERT ON public.live_metrics
    FOR EACH ROW EXECUTE FUNCTION public.notify_new_record();
