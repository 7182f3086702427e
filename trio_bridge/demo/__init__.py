"""The demo: an embedded PostgreSQL, a writer, the bridge and the Live stand-in in one program."""
