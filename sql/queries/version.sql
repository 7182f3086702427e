-- Version of our objects in this database.

SELECT max(version) FROM trio_bridge.version
