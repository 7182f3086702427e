"""All that speaks to Postgres: the connection, its statements, the catalogue, the checkpoint, the installation."""
