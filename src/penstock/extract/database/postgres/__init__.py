"""PostgreSQL: tables and queries by COPY, over several connections that share one snapshot."""
