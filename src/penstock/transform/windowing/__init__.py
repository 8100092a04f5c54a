"""Windows over event time: one declaration, computed whole by runs, and kept up piece by piece by streams.

What is asked is one query (``statement``); who answers it for what new events touch stands behind ``port``.
"""
