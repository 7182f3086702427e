-- Run once by the image's psql, when the database is made: who may do what. The bridge's own rights come from `install`.

\set bridge `cat /run/secrets/bridge_password`
\set writer `cat /run/secrets/writer_password`
\set viewer `cat /run/secrets/viewer_password`

CREATE ROLE bridge LOGIN PASSWORD :'bridge';
CREATE ROLE writer LOGIN PASSWORD :'writer';
-- Grafana's SQL panels. Whoever may look at a dashboard may ask this role anything: so it reads, and not for long.
CREATE ROLE viewer LOGIN PASSWORD :'viewer' CONNECTION LIMIT 20;
ALTER ROLE viewer SET default_transaction_read_only = on;
ALTER ROLE viewer SET statement_timeout = '10s';

-- For the table that `install` is going to make.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO writer;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO viewer;
