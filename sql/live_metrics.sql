-- The demo table. Any table will do; this one is made only when `install` is asked for it and it does not exist.

CREATE TABLE IF NOT EXISTS public.live_metrics (
    id          bigint           GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "timestamp" timestamptz      NOT NULL DEFAULT clock_timestamp(),
    value       double precision,
    sensor      text
);
