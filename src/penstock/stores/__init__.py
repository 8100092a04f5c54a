"""How a place works where data rests: objects, lake tables in Delta, the DuckDB warehouse, the local engine.

Stores know files, logs, locks and SQL engines. No pipeline, source, check or release may leak in.
"""
