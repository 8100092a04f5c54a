"""PostgreSQL as the warehouse that readers read: versions of tables, the views over them, and the swap of all views.

Each version of a table is a table of its own in the schema ``penstock_{schema}``, loaded before a release counts and
never changed again; readers read views in the published schema. Nothing of candidates, approvals or the lake may leak
in here: names of releases, columns and Parquet files come in.
"""
