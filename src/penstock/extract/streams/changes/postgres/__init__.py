"""Changes of PostgreSQL, read by logical replication (``pgoutput``)."""
